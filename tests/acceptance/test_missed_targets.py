"""Targets that are easily missed, or dangerous to touch, in real processes."""

import json
import textwrap

import pytest
from acceptance.host import summary

HEAD = "version: 1\nmodules: {m: {description: M}}\ndefaults: {rate_limit: 1000/s}\nmonitors:\n"


def one(name, *targets, more=""):
    return f"  - {{name: {name}, targets: [{', '.join(targets)}], module: m, operation: {name}{more}}}\n"


def run(host, *arguments, **files):
    host.write(**{name: textwrap.dedent(text) for name, text in files.items()})
    done = host.run(*arguments)
    assert "agent:" not in done.stderr, done.stderr
    return done.stdout


def test_what_the_agent_itself_uses_to_report_is_monitored_without_recursion(host):
    """Each of these runs while a report is made; only the host's own calls are reported."""
    own = ["json.dumps", "json.encoder.JSONEncoder.encode", "json.encoder.JSONEncoder.iterencode", "os.path.join",
           "os.path.abspath", "os.fsencode", "linecache.getline", "linecache.getlines", "tokenize.open", "posixpath.basename",
           "threading.Condition.wait", "threading.Event.set", "re.compile", "builtins.open", "io.open", "time.perf_counter",
           "time.time", "os.replace", "os.write", "os.getpid"]  # fmt: skip
    host.write(
        monitors__yaml=HEAD + one("own", *own, more=", threshold: 0.000001ms, rules: [{when: 1 == 1, message: m}]")
    )
    out = run(host, "main.py", main__py="""
        import json, os, threading, linecache, re, time, tokenize
        def attempt(call, *args):
            try: return call(*args)
            except Exception as error: return type(error).__name__
        print(attempt(json.dumps, object()), attempt(json.dumps, [1]), attempt(open, "/no/such/file"))
        event = threading.Event()
        event.set()
        assert event.wait(1)
        with open(__file__) as stream: assert stream.read()
        assert time.perf_counter() > 0 and os.path.join("a", "b") == "a/b" and linecache.getline(__file__, 2)
        print("done")
    """)  # fmt: skip
    assert out == "TypeError [1] FileNotFoundError\ndone\n"
    errors = [
        event["exception"]["values"][-1]["type"] for event in host.events() if event["tags"]["erp.report"] == "error"
    ]
    assert sorted(errors) == ["FileNotFoundError", "TypeError"]
    (process,) = [each for each in host.status() if each["program"] == "main.py"]
    assert process["problems"] == []
    assert len(process["patched"]) >= 12


def test_modules_that_pytest_rewrites(host):
    host.write(monitors__yaml=HEAD + one("op", "test_shop.helper", "conftest.price"))
    out = run(host, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shop.py",
        conftest__py="def price(): raise ValueError('price')\n",
        test_shop__py="""
        import pytest
        from conftest import price
        def helper(x):
            assert x == 2, "not two"
        def test_one():
            helper(2)
            with pytest.raises(AssertionError, match="not two.*\\n.*assert 1 == 2"): helper(1)
            with pytest.raises(ValueError): price()
        """)  # fmt: skip
    assert "1 passed" in out
    types = [event["exception"]["values"][-1]["type"] for event in host.events()]
    assert types == ["AssertionError", "ValueError"]


def test_reload_and_a_module_that_is_imported_anew(host):
    host.write(monitors__yaml=HEAD + one("op", "shop.f"))
    run(host, "main.py", shop__py="def f(x): raise ValueError(x)\n", main__py="""
        import importlib, sys, shop
        def attempt(x):
            try: sys.modules["shop"].f(x)
            except ValueError: pass
        attempt(1)
        old = shop.f
        importlib.reload(shop)
        attempt(2)
        del sys.modules["shop"]
        import shop
        attempt(3)
        try: old(4)
        except ValueError: pass
    """)  # fmt: skip
    assert [event["exception"]["values"][-1]["value"] for event in host.events()] == ["1", "2", "3", "4"]


def test_a_lazy_attribute_of_a_package(host):
    """As large packages do it. What is lazily exported is found with the next import after it was first asked for."""
    host.write(monitors__yaml=HEAD + one("defined", "shop.impl.f") + one("exported", "shop.g"))
    (host.folder / "shop").mkdir()
    (host.folder / "shop" / "__init__.py").write_text(
        "def __getattr__(name):\n    if name not in ('f', 'g'): raise AttributeError(name)\n    from . import impl\n"
        "    globals()[name] = value = getattr(impl, name)\n    return value\n"
    )
    (host.folder / "shop" / "impl.py").write_text("def f(): raise ValueError('f')\ndef g(): raise ValueError('g')\n")
    run(host, "main.py", main__py="""
        import shop
        def attempt(call):
            try: call()
            except ValueError: pass
        attempt(shop.f)
        shop.g
        import wave
        attempt(shop.g)
    """)  # fmt: skip
    assert [summary(event)[1] for event in host.events()] == ["defined", "exported"]


def test_celery_tasks_behind_their_proxies(host):
    """`shared_task` answers a proxy that finds the task when it is first used; each app has a task object of its own."""
    pytest.importorskip("celery")
    host.write(monitors__yaml=HEAD + one("op", "shop.plain", "shop.bound", "shop.Sent.run"))
    out = run(host, "main.py", shop__py="""
        from celery import Task, shared_task
        @shared_task
        def plain(x): raise ValueError(x)
        @shared_task(bind=True)
        def bound(self, x): raise ValueError(x)
        class Sent(Task):
            name = "sent"
            def run(self, x): raise ValueError(x)
        """, main__py="""
        import pickle
        from celery import Celery
        import shop
        app = Celery("shop", set_as_current=True)
        sent = app.register_task(shop.Sent())
        for number, task in enumerate((shop.plain, shop.bound, sent)):
            print(task.apply((number,)).state)
        print(pickle.loads(pickle.dumps(shop.plain)).name)
    """)  # fmt: skip
    assert out == "FAILURE\n" * 3 + "shop.plain\n"
    assert [event["exception"]["values"][-1]["value"] for event in host.events()] == ["0", "1", "2"]


def test_modules_that_a_host_loads_by_hand(host):
    """No import ever names them, nor anything of their package."""
    host.write(
        monitors__yaml=HEAD + one("price", "addons.price.compute", "plain_name.compute") + one("all", "'addons.tax.*'"),
        addons___price__py="def compute(): raise ValueError('price')\n",
        addons___tax__py="def compute(): raise ValueError('tax')\n",
        elsewhere___plain_name__py="def compute(): raise ValueError('plain')\n",
    )
    (host.folder / "addons/__init__.py").touch()
    out = run(host, "main.py", main__py="""
        import importlib.machinery, importlib.util, os, runpy, sys, warnings
        warnings.simplefilter("ignore")
        def load(name, file):
            spec = importlib.util.spec_from_file_location(name, os.path.abspath(file))
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
        def attempt(call):
            try: call()
            except ValueError as error: print(error)
        attempt(load("plain_name", "elsewhere/plain_name.py").compute)
        attempt(load("plugin_1", "addons/price.py").compute)
        attempt(importlib.machinery.SourceFileLoader("addons.tax", "addons/tax.py").load_module().compute)
        attempt(runpy.run_path("addons/tax.py", run_name="addons.tax")["compute"])
        attempt(load("stranger", "elsewhere/plain_name.py").compute)
    """)  # fmt: skip
    assert out == "plain\nprice\ntax\ntax\nplain\n"
    assert sorted(event["exception"]["values"][-1]["value"] for event in host.events()) == [
        "plain",
        "price",
        "tax",
        "tax",
    ]


def test_modules_of_an_erp_that_its_own_loader_finds(host):
    """As Odoo and Tryton have them: a folder that joins a package's path later, scripts of an upgrade that are loaded by
    their file, and models that a registry makes of classes, by then under another name.
    """
    host.write(
        monitors__yaml=HEAD
        + one(
            "lead",
            "'odoo.addons.crm.models.Lead.*'",
            "'trytond.modules.sale.sale.*'",
            "trytond.modules.sale.sale.Sale.confirm",
        )
        + one("upgrade", "odoo.addons.crm.upgrade.migrate", "odoo.upgrade.crm_9.migrate"),
        addons___crm___models__py="""
class Registered(type):
    known = []
    def __init__(cls, name, bases, space):
        super().__init__(name, bases, space)
        Registered.known.append(cls)
class Lead(metaclass=Registered):
    def convert(self): raise ValueError("convert")
    @classmethod
    def score(cls): raise ValueError("score")
""",
        addons___crm___upgrade__py="def migrate(version): raise ValueError('migrate')\n",
        addons___crm___end__py="def migrate(version): raise ValueError('end')\n",
        more___sale___sale__py="class Sale:\n    def confirm(self): raise ValueError('confirm')\n",
    )
    for package, text in (
        ("odoo", ""), ("odoo/addons", ""), ("addons/crm", "from . import models\n"), ("trytond", ""), ("trytond/modules", ""),
        ("more/sale", "from . import sale\ndef register(pool): pool.append(sale.Sale)\n"),
    ):  # fmt: skip
        (host.folder / package).mkdir(parents=True, exist_ok=True)
        (host.folder / package / "__init__.py").write_text(text)
    out = run(host, "main.py", main__py="""
        import importlib, importlib.util, os, sys
        import odoo.addons, trytond.modules
        def attempt(call, *arguments):
            try: call(*arguments)
            except ValueError as error: print(error)
        odoo.addons.__path__.append(os.path.abspath("addons"))
        __import__("odoo.addons.crm")
        known = sys.modules["odoo.addons.crm.models"].Registered.known
        Made = type("crm.lead", (known[0],), {"_name": "crm.lead"})
        attempt(Made().convert)
        attempt(Made.score)
        def script(name, file):
            spec = importlib.util.spec_from_file_location(name, file)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
        attempt(script("odoo.addons.crm.upgrade", "addons/crm/upgrade.py").migrate, "9")
        attempt(script("odoo.upgrade.crm_9", "addons/crm/end.py").migrate, "9")
        trytond.modules.__path__.append(os.path.abspath("more"))
        pool = []
        importlib.import_module("trytond.modules.sale").register(pool)
        attempt(type("sale", (pool[0],), {"__slots__": ()})().confirm)
    """)  # fmt: skip
    assert out.split() == ["convert", "score", "migrate", "end", "confirm"]
    assert [event["exception"]["values"][-1]["value"] for event in host.events()] == out.split()


def test_what_is_decorated_in_the_source_is_in_status(host):
    """Of a process that reports nothing, and whose monitors.yaml names nothing that it imports."""
    shop = """
        from agent import monitor_sales_operation, sentry_monitor
        @sentry_monitor("m", "create")
        def create(): return 1
        class Order:
            @monitor_sales_operation
            def post(self): return 2
        @sentry_monitor
        class Wrong: pass
    """
    main = """
        import subprocess, sys
        import shop
        from agent import sentry_monitor
        @sentry_monitor
        def here(): pass
        subprocess.run([sys.executable, "-m", "agent", "status", "--all", "--format", "json"])
    """
    host.write(monitors__yaml="version: 1\n")
    out = run(host, "main.py", main__py=main, shop__py=shop)
    (process,) = json.loads(out)["processes"]
    assert sorted(each["target"] for each in process["patched"]) == ["__main__.here", "shop.Order.post", "shop.create"]
    assert [each["target"] for each in process["failed"]] == ["shop.Wrong"]
