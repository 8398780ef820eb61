"""Whatever is wrong with the agent's side, the host runs as if nothing were there, and the reason can be found."""

import os
import sys

import pytest
from acceptance.host import ROOT

SHOP = "def f(x=1):\n    if x > 5: raise ValueError(x)\n    return x\n"
MAIN = "import shop\ntry: shop.f(9)\nexcept ValueError: print('as always')\n"
GOOD = "version: 1\nmodules: {m: {description: M}}\nmonitors:\n  - {target: shop.f, module: m, operation: op}\n"


@pytest.fixture
def shop(host):
    host.write(shop__py=SHOP, main__py=MAIN, monitors__yaml=GOOD)
    return host


def runs(host, **extra):
    done = host.run("main.py", **extra)
    assert done.stdout == "as always\n"
    assert done.stderr.count("\n") <= 1, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("monitors: [", "monitors.yaml"),
        ("version: 1\nmonitors: 5\n", "monitors"),
        ("", "monitors.yaml"),
        ("\tversion: 1", "monitors.yaml"),
        ("version: 99\n", "version"),
        ("- a\n- b\n", "monitors.yaml"),
    ],
)
def test_a_file_that_is_wrong(host, text, word):
    host.write(shop__py=SHOP, main__py=MAIN, monitors__yaml=text)
    said = runs(host)
    assert word in said
    assert "python -m agent validate" in said
    assert host.events() == []
    assert host.agent("validate", str(host.config)).returncode == 1
    assert any(process["problems"] for process in host.status())


def test_a_file_that_becomes_wrong_leaves_the_last_good_plan_in_force(shop):
    assert runs(shop) == ""
    shop.config.write_text("monitors: [", encoding="utf-8")
    assert "the last good plan is" in runs(shop)
    assert len(shop.events()) == 2
    assert "last good plan" in shop.agent("status").stdout
    shop.config.write_text(GOOD, encoding="utf-8")
    assert runs(shop) == ""


def test_one_wrong_monitor_disables_itself(shop):
    shop.config.write_text(
        GOOD + "  - {target: shop.g, module: m, operation: op2, threshold: 5parsecs}\n", encoding="utf-8"
    )
    said = runs(shop)
    assert "parsecs" in said and "python -m agent validate" in said
    assert runs(shop) == ""  # once for each change of the file, not in every process
    assert len(shop.events()) == 2
    assert any("parsecs" in problem for process in shop.status() for problem in process["problems"])


def test_a_missing_file(shop):
    shop.config.unlink()
    assert "no such file" in runs(shop)


def test_the_kill_switch(shop):
    assert runs(shop, AGENT_DISABLED="1") == ""
    assert shop.events() == []
    done = shop.run("-c", "import sys; print([n for n in sys.modules if 'agent' in n])", AGENT_DISABLED="1")
    assert "engine" not in done.stdout
    assert runs(shop, AGENT_DISABLED="0") == ""
    assert len(shop.events()) == 1


def test_a_module_that_raises_on_import(host):
    host.write(
        shop__py="raise RuntimeError('broken module')\n", monitors__yaml=GOOD,
        main__py="try:\n import shop\nexcept RuntimeError as error:\n import traceback; traceback.print_exc()\n",
    )  # fmt: skip
    under, bare = host.run("main.py"), host.run("main.py", agent=False)
    if sys.version_info >= (3, 11):
        assert under.stderr == bare.stderr
    assert under.stdout == bare.stdout


def test_a_module_that_does_not_exist(host):
    host.write(monitors__yaml=GOOD, main__py="try:\n import shop\nexcept ImportError as error: print(repr(error))\n")
    assert host.run("main.py").stdout == host.run("main.py", agent=False).stdout


@pytest.mark.parametrize("missing", ["yaml", "jsonschema"])
def test_a_dependency_that_is_missing(shop, tmp_path, missing):
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / f"{missing}.py").write_text("raise ImportError('not installed', name=%r)\n" % missing)
    path = os.pathsep.join([str(ROOT), str(blocked)])
    text = GOOD + "surplus: 1\n" * (missing == "jsonschema")  # which names what is wrong, and has no other use
    shop.config.write_text(text, encoding="utf-8")
    said = runs(shop, PYTHONPATH=path)
    assert missing in said and "pip install" in said
    # Said once for this configuration and environment: the machine may have many Pythons without it.
    assert [runs(shop, PYTHONPATH=path) for _ in range(2)] == ["", ""]
    assert missing in shop.agent("status", PYTHONPATH=path, AGENT_DISABLED="1").stdout
    assert shop.events() == []
    shop.config.write_text(text + "# changed\n", encoding="utf-8")
    assert missing in runs(shop, PYTHONPATH=path)


def test_a_file_that_is_right_needs_no_jsonschema(shop, tmp_path):
    (tmp_path / "jsonschema.py").write_text("raise ImportError('not installed', name='jsonschema')\n")
    assert runs(shop, PYTHONPATH=os.pathsep.join([str(ROOT), str(tmp_path)])) == ""
    assert len(shop.events()) == 1


def test_a_dependency_that_goes_leaves_the_last_good_plan_in_force_and_that_is_said_once(shop, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "yaml.py").write_text("raise ImportError('not installed', name='yaml')\n")
    path = os.pathsep.join([str(ROOT), str(blocked)])
    assert runs(shop) == ""
    shop.config.write_text(GOOD + "# changed\n", encoding="utf-8")
    assert "the last good plan is" in runs(shop, PYTHONPATH=path)
    assert runs(shop, PYTHONPATH=path) == ""
    assert len(shop.events()) == 3


def test_a_state_folder_that_cannot_be_written(shop, tmp_path):
    file = tmp_path / "file"
    file.write_text("not a folder")
    assert "cannot be written" in runs(shop, AGENT_STATE_DIR=str(file / "state"))
    done = shop.agent("status", AGENT_STATE_DIR=str(file / "state"))
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs a folder in which nothing can be made, as /proc is")
def test_a_read_only_file_system(shop):
    assert "/proc/agent" in (said := runs(shop, AGENT_STATE_DIR="/proc/agent")) and "cannot be written" in said
    assert not os.path.exists("/proc/agent")


def test_a_torn_plan_is_made_again(shop):
    runs(shop)
    (plan,) = shop.state.glob("plan-*.bin")
    for damage in (b"", b"garbage", plan.read_bytes()[:50]):
        plan.write_bytes(damage)
        assert runs(shop) == ""
    assert len(shop.events()) == 4


def test_closed_standard_streams(shop):
    code = "import os, sys; os.close(1); os.close(2); import shop\ntry: shop.f(9)\nexcept ValueError: os._exit(7)"
    assert shop.run("-c", code, check=False).returncode == 7
    assert len(shop.events()) == 1


@pytest.mark.parametrize("flags", [["-O"], ["-OO"], ["-B"], ["-X", "importtime"], ["-W", "error"], ["-bb"], ["-u"]])
def test_interpreter_options(shop, flags):
    done = shop.run(*flags, "main.py")
    assert done.stdout == "as always\n"
    assert len(shop.events()) == 1


@pytest.mark.parametrize("flags", [["-I"], ["-S"], ["-E"]])
def test_options_that_switch_the_agent_off(shop, flags):
    assert shop.run(*flags, "-c", "print('fine')").stdout == "fine\n"
