"""Every kind of callable that a target can name, patched where every reference counts."""

import asyncio
import functools
import pickle

import pytest
from support import Watch, fails, found, module, monitor, target

from agent.base.errors import CannotPatch
from agent.hook.code import patch
from agent.hook.targets import apply, defined, resolve

pytestmark = pytest.mark.usefixtures("no_shop_left")


SOURCE = """
import functools, asyncio
class Base:
    def inherited(self): raise ValueError("inherited")
    @classmethod
    def made(cls): raise ValueError(cls)
class Thing(Base):
    def __init__(self, bad=False):
        if bad: raise ValueError("init")
    def __call__(self): raise ValueError("call")
    def method(self, x): raise ValueError(x)
    @classmethod
    def klass(cls): raise ValueError(cls)
    @staticmethod
    def static(): raise ValueError("static")
    @property
    def prop(self): raise ValueError("prop")
    @functools.cached_property
    def cached(self): raise ValueError("cached")
    alias = method
    class Nested:
        def deep(self): raise ValueError("deep")
    async def coroutine(self): raise ValueError("coroutine")
    def generator(self):
        yield 1
        raise ValueError("generator")
    async def agenerator(self):
        yield 1
        raise ValueError("agenerator")
def plain(): raise ValueError("plain")
def deco(f):
    @functools.wraps(f)
    def wrapper(*args, **kwargs): return f(*args, **kwargs)
    return wrapper
@deco
def decorated(order_id, *, urgent=False): raise ValueError("decorated")
@deco
async def decorated_coroutine(): raise ValueError("async decorated")
@functools.lru_cache(maxsize=None)
def remembered(x): raise ValueError("remembered")
@functools.singledispatch
def dispatched(x): raise ValueError("dispatched")
handler = lambda: plain()
bound = Thing().method
part = functools.partial(plain)
instance = Thing()
class Lazy:
    def __init__(self, f): self.f = [f]
    def __getattr__(self, name): raise RuntimeError("woken up")
    def __call__(self): return self.f[0]()
@Lazy
def lazy(): raise ValueError("lazy")
"""


def consume(generator):
    for _ in generator:
        pass


async def aconsume(generator):
    async for _ in generator:
        pass


@pytest.mark.parametrize(
    ("path", "use"),
    [
        ("plain", lambda m: m.plain()),
        ("Thing.method", lambda m: m.Thing().method(1)),
        ("Thing.alias", lambda m: m.Thing().alias(1)),
        ("Thing.klass", lambda m: m.Thing.klass()),
        ("Thing.static", lambda m: m.Thing.static()),
        ("Thing.prop", lambda m: m.Thing().prop),
        ("Thing.cached", lambda m: m.Thing().cached),
        ("Thing.__init__", lambda m: m.Thing(bad=True)),
        ("Thing.__call__", lambda m: m.Thing()()),
        ("Thing.Nested.deep", lambda m: m.Thing.Nested().deep()),
        ("Thing.inherited", lambda m: m.Thing().inherited()),
        ("Thing.made", lambda m: m.Thing.made()),
        ("Thing.coroutine", lambda m: asyncio.run(m.Thing().coroutine())),
        ("Thing.generator", lambda m: consume(m.Thing().generator())),
        ("Thing.agenerator", lambda m: asyncio.run(aconsume(m.Thing().agenerator()))),
        ("decorated", lambda m: m.decorated(5)),
        ("decorated_coroutine", lambda m: asyncio.run(m.decorated_coroutine())),
        ("remembered", lambda m: m.remembered(1)),
        ("dispatched", lambda m: m.dispatched(1)),
        ("handler", lambda m: m.handler()),
        ("bound", lambda m: m.bound(1)),
        ("part", lambda m: m.part()),
        ("instance", lambda m: m.instance()),
        ("lazy", lambda m: m.lazy()),
    ],
)
def test_failures_of_every_kind_of_callable_are_seen_once(path, use):
    shop = module(SOURCE)
    before = {name: id(value) for name, value in vars(shop).items()}
    watch = Watch(monitor(f"shop.{path}", operation="op")).apply(shop)
    assert [line[0] for line in watch.records] == ["patched"]
    fails(use, shop)
    assert watch.reports() == [("error", "op", "error")]
    # Every object is still the one it was, by identity.
    assert {name: id(value) for name, value in vars(shop).items()} == before
    watch.undo()
    fails(use, shop)
    assert len(watch.observed) == 1


def test_a_reference_taken_before_the_patch_is_monitored():
    shop = module("def f(): raise ValueError(1)\nregistry = {'f': f}\n")
    taken = shop.f
    watch = Watch(monitor("shop.f")).apply(shop)
    fails(taken)
    fails(shop.registry["f"])
    assert len(watch.observed) == 2


def test_inherited_method_is_monitored_only_on_the_class_that_was_named():
    shop = module(
        "class Base:\n def run(self): raise ValueError(1)\n @classmethod\n def make(cls): raise ValueError(2)\n"
        "class A(Base): pass\nclass B(Base): pass\nclass AA(A): pass\n"
    )
    watch = Watch(monitor("shop.A.run"), monitor("shop.A.make", name="make")).apply(shop)
    for cls in (shop.A, shop.AA):
        fails(cls().run)
        fails(cls.make)
    assert len(watch.observed) == 4
    for cls in (shop.B, shop.Base):
        fails(cls().run)
        fails(cls.make)
    assert len(watch.observed) == 4


def test_two_classes_that_share_a_method_have_a_monitor_each():
    shop = module("class Base:\n def run(self): raise ValueError(1)\nclass A(Base): pass\nclass B(Base): pass\n")
    watch = Watch(monitor("shop.A.run", operation="a"), monitor("shop.B.run", operation="b")).apply(shop)
    fails(shop.A().run)
    fails(shop.B().run)
    assert [item.operation for item in watch.observed] == ["a", "b"]


def test_a_classmethod_keeps_the_class_that_calls_it():
    shop = module("class A:\n @classmethod\n def make(cls): return cls\nclass B(A): pass\n")
    Watch(monitor("shop.A.make", thresholds=[[1, "warning"]])).apply(shop)
    assert shop.B.make() is shop.B


def test_a_partial_is_monitored_without_its_function():
    shop = module("import functools\ndef f(x): raise ValueError(x)\np = functools.partial(f, 1)\n")
    watch = Watch(monitor("shop.p")).apply(shop)
    assert isinstance(shop.p, functools.partial)
    fails(shop.f, 1)
    assert watch.observed == []
    fails(shop.p)
    assert len(watch.observed) == 1
    watch.undo()
    assert shop.p.func is shop.f


def test_one_instance_is_monitored_and_not_its_class():
    shop = module("class H:\n def __call__(self): raise ValueError(1)\none = H()\ntwo = H()\n")
    watch = Watch(monitor("shop.one")).apply(shop)
    fails(shop.two)
    assert watch.observed == []
    fails(shop.one)
    assert len(watch.observed) == 1


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("shop.Thing", "name one of its methods"),
        ("shop.number", "not callable"),
    ],
)
def test_what_cannot_be_monitored_says_why(path, reason):
    shop = module("class Thing: pass\nnumber = 1\n")
    watch = Watch(monitor(path)).apply(shop)
    assert watch.records[0][0] == "failed"
    assert reason in watch.records[0][3]


def test_a_missing_target_waits_and_is_found_later():
    shop = module("x = 1\n")
    other = module("", name="shop_other")
    watch = Watch(monitor("shop.late")).apply(shop)
    assert watch.records == [("waiting", "shop.late", "shop.late", "shop has no attribute 'late'")]
    exec("def late(): raise ValueError(1)", shop.__dict__)
    watch.apply(other)
    assert watch.records[-1][0] == "patched"
    fails(shop.late)
    assert len(watch.observed) == 1


def test_nothing_is_triggered_by_looking():
    shop = module(
        "class Meta(type):\n def __getattribute__(c, n): raise RuntimeError(n)\n"
        "class D:\n def __get__(self, *a): raise RuntimeError('bound')\n"
        "class T(metaclass=Meta):\n d = D()\n def ok(self): pass\n"
        "def __getattr__(name): raise RuntimeError(name)\n"
    )
    watch = Watch(monitor("shop.T.d"), monitor("shop.T.ok"), monitor("shop.lazy.x")).apply(shop)
    assert [line[0] for line in watch.records] == ["failed", "patched", "waiting"]


def test_the_same_module_again_patches_the_new_functions():
    shop = module("def f(): raise ValueError(1)\n")
    watch = Watch(monitor("shop.f")).apply(shop).apply(shop)
    fails(shop.f)
    assert len(watch.observed) == 1
    exec("def f(): raise ValueError(2)", shop.__dict__)
    watch.apply(shop)
    fails(shop.f)
    assert len(watch.observed) == 2


def test_patterns_take_what_the_module_itself_defines():
    module("def stranger(): pass\n", name="shop_lib")
    shop = module(
        "from shop_lib import stranger\nimport functools\n"
        "def one(): pass\ndef two(): pass\ndef _private(): pass\ndef helper_x(): pass\nclass C:\n def m(self): pass\n"
        "def deco(f):\n @functools.wraps(f)\n def w(*a): return f(*a)\n return w\n@deco\ndef three(): pass\nnumber = 1\n"
    )
    watch = Watch(monitor("shop.*", exclude=["shop.helper_*", "shop.deco"])).apply(shop)
    assert sorted(line[2] for line in watch.records) == ["shop.one", "shop.three", "shop.two"]
    watch = Watch(monitor("shop.C.*", "shop.helper_?*", name="c")).apply(shop)
    assert [line[2] for line in watch.records] == ["shop.C.m"]


def test_a_pattern_leaves_what_was_named_one_by_one():
    shop = module("def one(): raise ValueError(1)\ndef two(): raise ValueError(2)\n")
    watch = Watch(monitor("shop.*", name="all", operation="all"), monitor("shop.one", operation="one")).apply(shop)
    fails(shop.one)
    fails(shop.two)
    assert [item.operation for item in watch.observed] == ["one", "all"]


def test_overriding_methods_of_subclasses_also_those_defined_later():
    shop = module(
        "class Doc:\n def post(self): raise ValueError(1)\n"
        "class Invoice(Doc):\n def post(self):\n  raise ValueError(2)\n"
    )
    watch = Watch(monitor("shop.Doc.post", subclasses=True, operation="post")).apply(shop)
    fails(shop.Invoice().post)
    assert len(watch.observed) == 1
    assert watch.applier.needs_each_module
    later = module("import shop\nclass Order(shop.Invoice):\n def post(self): raise ValueError(3)\n", name="shop_later")
    watch.apply(later)
    fails(later.Order().post)
    assert len(watch.observed) == 2


def test_a_method_that_a_class_beside_the_target_overrides_it_with():
    """As Tryton builds a model: of a class of each module that extends it, which are no subclasses of each other."""
    shop = module(
        "class Sale:\n @classmethod\n def post(cls): return 1\n"
        "class Purchase:\n @classmethod\n def post(cls): return 1\n"
        "class Extended:\n @classmethod\n def post(cls): raise ValueError(cls)\n"
    )
    watched = monitor("shop.Sale.post", "shop.Purchase.post", subclasses=True, operation="{class}.post")
    watch = Watch(watched).apply(shop)
    sale = type("sale.sale", (shop.Extended, shop.Sale), {})
    watch.applier.follow()
    fails(sale.post)
    purchase = type("purchase.purchase", (shop.Extended, shop.Purchase), {})
    watch.applier.follow()
    fails(purchase.post)
    assert [item.operation for item in watch.observed] == ["sale.sale.post", "purchase.purchase.post"]
    fails(shop.Extended.post)  # which is neither
    assert len(watch.observed) == 2


def test_patched_functions_and_methods_still_pickle():
    shop = module("def f(): return 1\nclass T:\n def m(self): return 2\n")
    Watch(monitor("shop.f", "shop.T.m")).apply(shop)
    assert pickle.loads(pickle.dumps(shop.f)) is shop.f
    assert pickle.loads(pickle.dumps(shop.T().m))() == 2


def test_a_path_into_a_module_under_another_name():
    import posixpath

    code = posixpath.join.__code__
    import os

    watch = Watch(monitor("os.path.join")).apply(os)
    assert posixpath.join.__code__ is not code
    watch.undo()
    assert posixpath.join.__code__ is code


def test_a_submodule_is_left_to_its_own_import():
    shop = module("", name="shop")
    sub = module("def f(): pass", name="shop.sub")
    shop.sub = sub
    with pytest.raises(resolve.InSubmodule):
        found(shop, "sub.f")


def test_a_property_without_getter_cannot_be_read():
    shop = module("class T:\n p = property(None, lambda self, v: None)\n")
    with pytest.raises(CannotPatch, match="cannot be read"):
        found(shop, "T.p")


def test_where_a_target_may_lie():
    assert apply.attribute_in("a.b", target("a.b.C.m")) == "C.m"
    assert apply.attribute_in("a", target("a.b.C.m")) == "b.C.m"
    assert apply.attribute_in("a.bc", target("a.b.C.m")) is None
    assert apply.attribute_in("a", target("a.b:C.m")) is None
    assert apply.attribute_in("a.b", target("a.b:C.m")) == "C.m"
    assert apply.pattern_in("a.b", target("a.*.f*")) == ["f*"]
    assert apply.pattern_in("a", target("a.*.f*")) == ["*", "f*"]
    assert apply.pattern_in("a.b.c", target("a.*.f*")) is None


def test_a_monitor_for_the_same_function_twice_is_refused_with_the_other_ones_name():
    shop = module("def f(): pass\ng = f\n")
    watch = Watch(monitor("shop.f", name="first"), monitor("shop.g", name="second")).apply(shop)
    assert watch.records[1][0] == "failed"
    assert "already monitored by 'first'" in watch.records[1][3]
    assert len(patch.layers_of(shop.f)) == 1


def test_code_that_the_host_keeps_in_a_set_is_known_there_by_its_new_code():
    shop = module(
        "internal = set()\ndef mark(f):\n internal.add(f.__code__)\n return f\n"
        "@mark\ndef f(): raise ValueError(1)\ndef g(): pass\n"
    )
    watch = Watch(monitor("shop.f", "shop.g")).apply(shop)
    assert shop.f.__code__ in shop.internal
    assert shop.g.__code__ not in shop.internal
    watch.undo()
    assert shop.internal == {shop.f.__code__}


def test_code_that_the_host_refers_to_weakly_is_known_there_by_its_new_code():
    shop = module(
        "import weakref\n"
        "class Same(weakref.ref):\n"
        " __slots__ = ()\n"
        " def __hash__(self): return id(self)\n"
        " def __eq__(self, other): return self() is not None and self() is other()\n"
        "by_value, internal, by_identity = weakref.WeakKeyDictionary(), weakref.WeakSet(), {}\n"
        "def forget(key): by_identity.pop(next(each for each in by_identity if each is key))\n"
        "def mark(f):\n"
        " by_value[f.__code__] = 'marked'\n internal.add(f.__code__)\n"
        " by_identity[Same(f.__code__, forget)] = 'marked'\n return f\n"
        "@mark\ndef f(): raise ValueError(1)\ndef g(): pass\n"
    )
    first = monitor("shop.f", "shop.g", name="first")
    watch = Watch(first).apply(shop)
    live = Watch(monitor("shop.f", name="live", live=True)).apply(shop)
    assert shop.by_value[shop.f.__code__] == "marked"
    assert shop.f.__code__ in shop.internal
    assert [shop.by_identity[key] for key in shop.by_identity if key() is shop.f.__code__] == ["marked"]
    assert shop.g.__code__ not in shop.internal
    live.undo()
    watch.undo()
    assert list(shop.by_value) == list(shop.internal) == [key() for key in shop.by_identity] == [shop.f.__code__]


def test_code_that_the_host_keeps_is_known_there_after_each_exchange():
    shop = module(
        "import weakref\ninternal, weak = set(), weakref.WeakKeyDictionary()\n"
        "def mark(f):\n internal.add(f.__code__)\n weak[f.__code__] = 'marked'\n return f\n"
        "@mark\ndef f(): raise ValueError(1)\n"
    )

    def is_marked():
        return shop.f.__code__ in shop.internal and shop.weak.get(shop.f.__code__) == "marked"

    watch = Watch(monitor("shop.f", name="first"), monitor("shop.f", name="live", live=True)).apply(shop)
    assert is_marked()
    assert watch.applier.substitute("first", lambda probe: probe.reduced(counts=False, failures=False)) == 1
    assert is_marked()
    del watch.monitors[1]
    watch.applier.replan(lambda name: watch.monitors, ["shop"])
    assert len(patch.layers_of(shop.f)) == 1
    assert is_marked()
    watch.undo()
    assert list(shop.weak) == list(shop.internal) == [shop.f.__code__]


def test_an_ordinary_function_is_held_by_nobody_else():
    shop = module("def f(): pass\nclass C:\n def m(self): pass\n @staticmethod\n def s(): pass\nalias = f\n")
    from agent.hook.targets import registries

    functions = (shop.f, shop.C.m, shop.C.s)
    assert [registries.kept(each) for each in functions] == [None] * 3
    Watch(*[monitor("shop." + path, name=path) for path in ("f", "C.m", "C.s")]).apply(shop)
    assert [registries.kept(each) for each in functions] == [None] * 3, "nor is a monitored one, for a second monitor"


def test_what_a_framework_makes_at_run_time_is_watched_by_the_monitor_of_what_it_stands_for():
    base = module("class Task:\n  def run(self): pass\n", "tasks")
    shop = module("def job(): raise ValueError\ndef named(): raise ValueError\n")
    watch = Watch(monitor("tasks:Task.run", name="tasks"), monitor("shop:named", name="named"))
    watch.apply(base).apply(shop)
    for name in ("job", "named", "job"):
        found = resolve.found_in("shop." + name, shop, name, getattr(shop, name))
        watch.applier.adopt(found, "tasks", "Task.run")
        watch.applier.adopt(found, "tasks", "Task.other")
    for function in (shop.job, shop.named):
        with pytest.raises(ValueError):
            function()
    assert [each.monitor["name"] for each in watch.observed] == ["tasks", "named"], "its own monitor comes first"
    watch.undo()
    with pytest.raises(ValueError):
        shop.job()
    assert len(watch.observed) == 2


#: What ERPs' own decorators make of functions without saying what they wrap.
NO_WRAPS = """
def login_required(f):
    def wrapped_view(request, *args, **kwargs): return f(request, *args, **kwargs)
    return wrapped_view
def twice(f):
    def once_more(*args, **kwargs): return f(*args, **kwargs)
    return login_required(once_more)
def with_default(f):
    def wrapped(request, *, called=f): return called(request)
    return wrapped
class Guard:
    def __init__(self, f): self.f = f
    def __call__(self, *args): return self.f(*args)
    def __get__(self, instance, owner): return self if instance is None else lambda *a: self.f(instance, *a)
def gone(f): return f.__name__
class Asleep:
    def __init__(self, f): pass
    def __getattribute__(self, name): raise RuntimeError("woken up")
def stub(f): return nothing
def nothing(*args): raise ValueError("stub")
"""

VIEWS = """
from shop_deco import *
def plain(request): raise ValueError("plain")
@login_required
def show(request): raise ValueError("show")
@twice
def edit(request, number=1): raise ValueError("edit")
@Guard
def guarded(request): raise ValueError("guarded")
@gone
def registered(request): raise ValueError("registered")
@Asleep
def asleep(request): pass
@login_required
async def stream(request): raise ValueError("stream")
class Page:
    @login_required
    def method(self): raise ValueError("method")
    @staticmethod
    @login_required
    def static(request): raise ValueError("static")
"""


def _views(watch, *, known):
    module(NO_WRAPS, name="shop_deco")
    views = module(VIEWS, name="shop_views")
    watch.applier.imported("shop_views", views, defined.names(compile(VIEWS, "views.py", "exec")) if known else {})
    return views


@pytest.mark.parametrize("known", [True, False])
def test_a_pattern_takes_what_is_decorated_without_wraps(known):
    watch = Watch(monitor("shop_views.*", "shop_views.Page.*", operation="{module}.{qualname}"))
    views = _views(watch, known=known)
    for view in (views.plain, views.show, views.edit, views.guarded):
        fails(view, None)
    fails(views.Page().method)
    fails(views.Page.static, None)
    fails(lambda: asyncio.run(views.stream(None)))
    names = ["plain", "show", "edit", "guarded", "Page.method", "Page.static", "stream"]
    assert [item.operation for item in watch.observed] == ["shop_views." + name for name in names]
    patched = {path for what, _, path, _ in watch.records if what == "patched"}
    assert patched == {"shop_views." + name for name in names}


def test_what_a_pattern_finds_in_the_text_and_not_in_the_module_is_recorded():
    watch = Watch(monitor("shop_views.*"))
    _views(watch, known=True)
    failed = [(path, note) for what, _, path, note in watch.records if what == "failed"]
    assert failed == [
        ("shop_views.registered", "shop_views.registered is a str, which is not callable"),
        ("shop_views.asleep", "shop_views.asleep is a Asleep, which is not callable"),
    ]


def test_an_import_that_takes_the_place_of_a_definition_is_what_the_text_wants():
    module("def fast(): pass\n", name="shop_lib")
    text = "def fast(): pass\ntry:\n from shop_lib import fast\nexcept ImportError: pass\n"
    watch = Watch(monitor("shop.*"))
    watch.applier.imported("shop", module(text), defined.names(compile(text, "shop.py", "exec")))
    assert watch.records == []


def test_one_by_one_the_targets_own_name_counts():
    watch = Watch(monitor("shop_views.show", "shop_views.edit", "shop_views.Page.method", "shop_views.shown"))
    module(NO_WRAPS, name="shop_deco")
    views = module(VIEWS + "shown = plain\n", name="shop_views")
    watch.apply(views)
    for call in (views.show, views.edit, views.shown):
        fails(call, None)
    fails(views.Page().method)
    assert [item.operation for item in watch.observed] == ["show", "edit", "shown", "method"]


def test_a_module_is_searched_once_for_all_patterns(monkeypatch):
    searched = []
    real = resolve.definition_of
    monkeypatch.setattr(resolve, "definition_of", lambda *rest: searched.append(rest[1]) or real(*rest))
    module(NO_WRAPS, name="shop_deco")
    views = module(VIEWS, name="shop_views")
    patterns = [monitor("shop_views.*", "shop_views.*.*", name=str(number)) for number in range(20)]
    once = Watch(*patterns[:1]).apply(views)
    number = len(searched)
    once.applier.undo()
    Watch(*patterns).apply(views)
    assert len(searched) == 2 * number


def test_subclasses_are_walked_once_for_all_methods_and_overrides_resolved_once(monkeypatch):
    resolved = []
    real = resolve.found_in
    monkeypatch.setattr(resolve, "found_in", lambda path, *rest: resolved.append(path) or real(path, *rest))
    text = "class Doc:\n def post(self): pass\n def save(self): pass\n"
    text += "".join(
        f"class D{n}(Doc):\n def post(self): pass\n def save(self): raise ValueError({n})\n" for n in range(9)
    )
    shop = module(text + "class Both(D1, D2):\n @classmethod\n def post(cls): pass\n")
    watch = Watch(*[monitor(f"shop.Doc.{name}", subclasses=True) for name in ("post", "save")]).apply(shop)
    assert len(resolved) == 2 + 2 * 9 + 1
    for number in range(5):
        watch.apply(module("x = 1\n", name=f"shop_{number}"))
    assert len([path for path in resolved if not path.startswith("shop.Doc")]) == 2 * 9 + 1
    fails(shop.D3().save)
    assert len(watch.observed) == 1
