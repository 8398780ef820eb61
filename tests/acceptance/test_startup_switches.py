"""AGENT_DEBUG, AGENT_STRICT, `only` and `skip`, and `python -m agent run`."""

import os
import re
import shutil
import sys

import pytest
from acceptance.host import ROOT

from agent.base import programs

SHOP = "def f(x=1):\n    if x > 5: raise ValueError(x)\n    return x\n"
MAIN = "import shop\ntry: shop.f(9)\nexcept ValueError: print('as always')\n"
GOOD = "version: 1\nmodules: {m: {description: M}}\nmonitors:\n  - {target: shop.f, module: m, operation: op}\n"
WRONG = GOOD + "  - {target: shop.g, module: m, operation: g, threshold: 5parsecs}\n"


@pytest.fixture
def shop(host):
    host.write(shop__py=SHOP, main__py=MAIN, monitors__yaml=GOOD)
    return host


def test_debug_explains_each_step_with_its_time(shop):
    first = shop.run("main.py", AGENT_DEBUG="1").stderr
    assert "there is no fresh plan: none is stored" in first
    assert "another interpreter read the configuration in" in first
    second = shop.run("main.py", AGENT_DEBUG="1").stderr.splitlines()
    assert all(line.startswith("agent: +") and " ms " in line for line in second)
    assert any(line.endswith("waiting for the modules of shop") for line in second)
    assert second[-1].endswith("monitors of shop applied: 1 change")
    shop.config.write_text(GOOD.replace("op}", "op2}"), encoding="utf-8")
    assert f"{shop.config} has changed" in shop.run("main.py", AGENT_DEBUG="1").stderr
    assert "pip is skipped" in shop.run("-m", "pip", "--version", AGENT_DEBUG="1", AGENT_STRICT="1").stderr


def test_debug_that_is_off_says_nothing(shop):
    for value in ("", "0", "no"):
        assert shop.run("main.py", AGENT_DEBUG=value).stderr == ""


def test_strict_lets_a_good_configuration_pass(shop):
    for _ in range(2):
        done = shop.run("main.py", AGENT_STRICT="1")
        assert (done.stdout, done.stderr) == ("as always\n", "")
    assert len(shop.events()) == 2


@pytest.mark.parametrize("text", [WRONG, "monitors: [", "version: 1\nmonitors: 5\n", None])
@pytest.mark.parametrize("before", [True, False])
def test_strict_stops_the_process_with_the_problems(shop, text, before):
    if before:
        shop.run("main.py")
    if text is None:
        shop.config.unlink()
    else:
        shop.config.write_text(text, encoding="utf-8")
    for _ in range(2):
        done = shop.run("main.py", check=False, AGENT_STRICT="1")
        assert (done.returncode, done.stdout) == (2, "")
        assert str(shop.config) in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.splitlines()[-1] == "agent: AGENT_STRICT stops this process: the configuration is wrong"
    # A tool that would not be monitored is not stopped either.
    assert shop.run("-m", "pip", "--version", AGENT_STRICT="1").returncode == 0


@pytest.mark.parametrize(
    ("config", "text", "word"),
    [
        (None, GOOD, "AGENT_CONFIG is not set"),
        ("", GOOD, "AGENT_CONFIG is empty"),
        ("here", "version: 1\n", "has no monitor"),
        ("here", "version: 1\nmonitors: []\n", "has no monitor"),
        ("here", GOOD.replace("op}", "op, enabled: false}"), "has no monitor"),
        ("here", GOOD.replace("op}", "op, requires: 'nobody-has-this>1'}"), "has no monitor"),
    ],
)
def test_strict_stops_where_nothing_would_be_watched(shop, tmp_path, config, text, word):
    """Also without the file that lies beside sitecustomize.py in this checkout, which a checkout elsewhere may not have."""
    checkout = tmp_path / "checkout"
    for name in ("agent", "schema"):
        shutil.copytree(ROOT / name, checkout / name)
    shutil.copy(ROOT / "sitecustomize.py", checkout)
    shop.config.write_text(text, encoding="utf-8")
    settings = {"AGENT_STRICT": "1", "PYTHONPATH": str(checkout)}
    if config != "here":
        settings["AGENT_CONFIG"] = config
    for _ in range(2):
        done = shop.run("main.py", check=False, **settings)
        assert (done.returncode, done.stdout) == (2, "")
        assert word in done.stderr.splitlines()[-2]
        assert done.stderr.splitlines()[-1] == "agent: AGENT_STRICT stops this process: nothing would be watched"
    assert shop.run("-m", "pip", "--version", **settings).returncode == 0
    assert shop.run("main.py", **settings, AGENT_DISABLED="1").stdout == "as always\n"


def test_strict_stops_where_the_agent_is_broken(shop, tmp_path):
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "agent", checkout / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "sitecustomize.py", checkout)
    for text in ("def start(", "def start(here): raise OSError('x')\n", None):
        file = checkout / "agent" / "boot" / "start.py"
        file.write_text(text, encoding="utf-8") if text else file.unlink()
        done = shop.run("main.py", check=False, PYTHONPATH=str(checkout), AGENT_STRICT="1")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("agent: could not start: ")
        assert shop.run("main.py", PYTHONPATH=str(checkout)).stdout == "as always\n"


def test_strict_lets_our_own_commands_look_at_what_is_wrong(shop):
    shop.config.write_text(WRONG, encoding="utf-8")
    done = shop.agent("validate", AGENT_STRICT="1")
    assert done.returncode == 1
    assert "5parsecs" in done.stdout
    assert "AGENT_STRICT stops" not in done.stderr
    # A host's own program of that name is no command of ours.
    theirs = shop.folder / "agent"
    theirs.mkdir()
    (theirs / "__init__.py").touch()
    (theirs / "__main__.py").write_text("print('the host')\n", encoding="utf-8")
    assert shop.run("-m", "agent").stdout == "the host\n"
    done = shop.run("-m", "agent", check=False, AGENT_STRICT="1")
    assert (done.returncode, done.stdout) == (2, "")


def test_run(shop):
    def run(*words, **extra):
        return shop.run("-m", "agent", "run", *words, cwd=ROOT, check=False, **{"PYTHONPATH": None, **extra})

    program = [sys.executable, str(shop.folder / "main.py")]
    done = run("--config", str(shop.config), "--strict", "--", *program, AGENT_CONFIG=None, AGENT_DISABLED="1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "as always\n", "")
    assert len(shop.events()) == 1
    assert run("--", sys.executable, "-c", "import sys; sys.exit(7)").returncode == 7
    assert re.search(r"agent: \+[0-9.]+ ms ", run("--debug", "--", *program).stderr)
    done = run("--", sys.executable, "-c", "import os; print(os.environ['PYTHONPATH'])", PYTHONPATH="/somewhere")
    assert done.stdout.split(os.pathsep) == [str(ROOT), "/somewhere\n"]
    for words in (["--", "no-such-command"], [], ["--config", "/no/such.yaml", "--", "true"]):
        done = run(*words)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
    shop.config.write_text(WRONG, encoding="utf-8")
    done = run("--strict", "--", *program)
    assert done.returncode == 2 and "5parsecs" in done.stderr and done.stdout == ""
    assert run("--strict", "--", "true").returncode == 2
    assert run("--", *program).stdout == "as always\n"


def test_installers_are_skipped(shop):
    (shop.folder / "pip").write_text(MAIN)  # a command has no ending
    assert shop.run("pip").stdout == "as always\n"
    assert not shop.state.exists()
    shop.run("main.py")
    shop.run("pip")
    assert len(shop.events()) == 1


def test_a_program_of_the_hosts_may_be_called_as_an_installer_is(shop):
    shop.write(pip__py=MAIN)
    shop.run("pip.py")
    shop.run("-m", "pip")  # the current folder comes before what is installed
    assert len(shop.events()) == 2


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("python manage.py migrate --fake", ["manage.py", "manage", "manage.py migrate"]),
        ("python3.11 -O -W error -X dev /srv/erp/manage.py", ["manage.py", "manage"]),
        ("python -m celery -A erp worker", ["celery"]),
        ("/venv/bin/python -bb -m pip install x", ["pip", "pip install"]),
        ("python -Im pip install x", ["pip", "pip install"]),
        ("python -m django.core", ["django.core", "django"]),
        ("python -mpip install x", ["pip", "pip install"]),
        ("python -Wignore -mpip list", ["pip", "pip list"]),
        ("python -bbc pass", ["-c"]),
        ("python --check-hash-based-pycs always -uX dev manage.py", ["manage.py", "manage"]),
        ("uwsgi -c x.ini", ["uwsgi"]),
        ("python /venv/bin/pip3.11 list", ["pip3.11", "pip3.11 list"]),
        ("python /x/pip/__main__.py", ["__main__.py", "pip"]),
        ("python -c pass", ["-c"]),
        ("python", ["python"]),
        ("python -", ["-"]),
        ("/usr/bin/uwsgi --ini x", ["uwsgi"]),
        ("/opt/app/erp-frozen import", ["erp-frozen", "erp-frozen import"]),
    ],
)
def test_what_a_program_is_called(line, names):
    assert list(dict.fromkeys(programs.names(line.split()))) == names


@pytest.mark.parametrize(
    ("line", "processes", "monitored"),
    [
        ("python manage.py runserver", None, True),
        ("python -m pip install x", None, False),
        ("python /venv/bin/pip3.12 install x", None, False),
        ("python /venv/bin/pipeline-server", None, True),
        ("python -m pip install x", {"skip": []}, True),
        ("python manage.py migrate", {"skip": ["manage.py migrate"]}, False),
        ("python manage.py runserver", {"skip": ["manage.py migrate"]}, True),
        ("python /venv/bin/celery -A erp worker", {"only": ["gunicorn*", "celery"]}, True),
        ("python /venv/bin/gunicorn erp.wsgi", {"only": ["gunicorn*", "celery"]}, True),
        ("python manage.py shell", {"only": ["gunicorn*", "celery"]}, False),
        ("python -m pip", {"only": ["pip"]}, True),
        ("python /venv/bin/celery inspect", {"only": ["celery"], "skip": ["celery inspect"]}, False),
        ("python idle.py", None, True),
        ("python -O /srv/erp/build.py nightly", None, True),
        ("python /srv/erp/black.pyc", None, True),
        ("python /srv/erp/wheel/__main__.py", None, True),
        ("python idle.py", {"skip": ["idle"]}, False),
        ("python setup.py install", None, False),
        ("python /srv/erp/setup.py", None, False),
        ("python /venv/bin/black .", None, False),
        ("python /tmp/virtualenv.pyz x", None, False),
        ("python /tmp/pip-24.0-py3-none-any.whl/pip install x", None, False),
        ("python /venv/lib/python3.11/site-packages/pip/__main__.py", None, False),
        ("python /venv/lib/python3.11/site-packages/isort.py", None, False),
        (f"python {os.path.dirname(os.__file__)}/py_compile.py x.py", None, False),
        ("python -m build", None, False),
        ("python -c from#multiprocessing.spawn --multiprocessing-fork", {"only": ["gunicorn"]}, True),
    ],
)
def test_only_and_skip(line, processes, monitored):
    assert (programs.why_not(processes, line.split()) == "") is monitored


@pytest.mark.parametrize("line", ["-m idle", "-m build", "-m hatch.nightly", "wheel", "wheel/", "poetry"])
def test_a_program_of_the_hosts_may_be_called_as_a_tool_is(tmp_path, monkeypatch, line):
    monkeypatch.chdir(tmp_path)
    for name in ("idle.py", "build/__main__.py", "hatch/nightly.py", "wheel/__main__.py", "poetry/__main__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert programs.why_not(None, ["python", *line.split()]) == ""


def test_a_tool_is_known_beside_a_folder_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build" / "lib").mkdir(parents=True)  # what building leaves
    assert programs.why_not(None, ["python", "-m", "build"])


@pytest.mark.parametrize(
    ("name", "pattern", "matches"),
    [
        ("gunicorn", "g*n", True), ("gunicorn", "*", True), ("gunicorn", "*uni*rn", True), ("gunicorn", "gun", False),
        ("aa", "a*a*a", False), ("pip3", "pip[0-9.]", True), ("pip", "pip[0-9.]", False), ("pipx", "pip[0-9.]", False),
    ],
)  # fmt: skip
def test_patterns_of_programs(name, pattern, matches):
    assert programs.matches(name, pattern) is matches
