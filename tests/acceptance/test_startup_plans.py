"""The stored plan: when it counts, when it is made again, and what a configuration that gives none leaves in force."""

import marshal
import os
import shutil
import subprocess
import sys
import time
import types

import pytest
from acceptance.host import ROOT, Host, other_pythons

from agent.base import places
from agent.plan import in_force, write
from agent.plan import index as cache

SHOP = "def f(x=1):\n    if x > 5: raise ValueError(x)\n    return x\n"
MAIN = "import shop\ntry: shop.f(9)\nexcept ValueError: print('as always')\n"
GOOD = "version: 1\nmodules: {m: {description: M}}\nmonitors:\n  - {target: shop.f, module: m, operation: op}\n"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def shop(host):
    host.write(shop__py=SHOP, main__py=MAIN, monitors__yaml=GOOD)
    return host


def runs(host, **extra):
    """What was said; the host itself is never disturbed."""
    done = host.run("main.py", **extra)
    assert done.stdout == "as always\n"
    assert done.stderr.count("\n") <= 1, done.stderr
    return done.stderr


def compiles(host, **extra):
    """Does a process have the configuration compiled?"""
    return "another interpreter read" in host.run("main.py", AGENT_DEBUG="1", **extra).stderr


def stored(host, kind="plan"):
    return sorted(host.state.glob(f"{kind}-*.bin"))


# ------------------------------------------------------------------------------------------------------- a bad file


def test_the_last_good_plan_counts_for_a_bounded_time(shop):
    runs(shop)
    shop.config.write_text("monitors: [", encoding="utf-8")
    assert "the last good plan is" in runs(shop)
    assert len(shop.events()) == 2
    assert "nothing is monitored" in runs(shop, AGENT_LAST_GOOD="0")
    assert "the last good plan is" in runs(shop, AGENT_LAST_GOOD="30m")
    assert len(shop.events()) == 3
    (file,) = stored(shop, "rejected")
    bad = cache.decode(file.read_bytes(), str(shop.config))
    file.write_bytes(write.bad_bytes(bad.header, bad.problems, time.time() - 25 * 3600))
    assert "nothing is monitored" in runs(shop)
    assert "the last good plan is" in runs(shop, AGENT_LAST_GOOD="2d")
    assert "no longer in force" in str(shop.status())
    text = shop.agent("status").stdout
    assert "nothing is monitored: " in text
    assert "(the last good plan was in force until" in text
    # Another mistake does not begin another day.
    shop.config.write_text("monitors: [[", encoding="utf-8")
    assert "nothing is monitored" in runs(shop)
    shop.config.write_text(GOOD, encoding="utf-8")
    assert runs(shop) == ""
    assert stored(shop, "rejected") == []
    assert "in force" not in shop.agent("status").stdout.replace("not in force", "")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, 86400), ("", 86400), ("0", 0), ("90", 90), ("90s", 90), ("1.5h", 5400), ("7d", 604800), ("-1", 0),
     ("soon", 86400), ("nan", 0)],
)  # fmt: skip
def test_durations_of_agent_last_good(text, seconds, capsys):
    assert in_force.last_good_for(text) == seconds
    assert ("24h" in capsys.readouterr().err) == (text == "soon")


def test_a_rejected_file_is_compiled_once(shop):
    shop.config.write_text("monitors: [", encoding="utf-8")
    assert [compiles(shop) for _ in range(3)] == [True, False, False]
    # Only processes that import a module of the last good plan say so; the others are left in peace.
    shop.config.write_text(GOOD, encoding="utf-8")
    runs(shop)
    shop.config.write_text("monitors: [", encoding="utf-8")
    for _ in range(2):
        assert shop.run("-c", "import json").stderr == ""


@pytest.mark.parametrize(
    ("python", "words"),
    [
        ("/bin/false", "ended with status 1"),
        ("/no/such/python", "could not be read with /no/such/python"),
        ("killed", "ended with status -9"),
        ("babbles", "could not be read"),
    ],
)
def test_a_compiler_that_fails_is_not_tried_again_at_once(shop, tmp_path, python, words):
    if python == "killed":
        python = script(tmp_path, "kill -9 $$")
    elif python == "babbles":
        python = script(tmp_path, "eval exec '/proc/self/fd/3>&1' 2>/dev/null; for f in /proc/self/fd/*; do n=${f##*/}; "
                                  "[ $n -gt 2 ] && eval \"printf '\\001rubbish' >&$n\" 2>/dev/null; done")  # fmt: skip
    said = runs(shop, AGENT_PYTHON=python)
    assert "nothing is monitored" in said
    assert words in said or "printed nothing" in said
    assert not compiles(shop, AGENT_PYTHON=python)
    (file,) = stored(shop, "rejected")
    bad = cache.decode(file.read_bytes(), str(shop.config))
    file.write_bytes(write.bad_bytes(bad.header, bad.problems, bad.since, time.time() - 1))
    assert compiles(shop, AGENT_PYTHON=python)
    assert compiles(shop), "another interpreter is another try"
    assert runs(shop) == ""
    (first, *_) = shop.status()
    assert len([problem for problem in first["problems"] if "interpreter" in problem or "could not" in problem]) == 1


def script(folder, text):
    file = folder / "python"
    file.write_text("#!/bin/sh\n" + text + "\n")
    file.chmod(0o755)
    return str(file)


def test_a_compiler_that_hangs_is_left(shop, tmp_path, monkeypatch):
    from agent.plan import compile_elsewhere

    started = []
    spawn = os.posix_spawn
    monkeypatch.setattr(os, "posix_spawn", lambda *given, **more: started.append(spawn(*given, **more)) or started[0])
    monkeypatch.setattr(compile_elsewhere, "PATIENCE", 0.3)
    monkeypatch.setenv("AGENT_PYTHON", script(tmp_path, "exec sleep 60"))
    assert "took more than" in compile_elsewhere.run(str(shop.config))
    with pytest.raises(ChildProcessError):
        os.waitpid(started[0], os.WNOHANG)  # killed, and reaped


def test_processes_that_start_together_compile_once(shop):
    shop.write(main__py="import shop")
    command = [sys.executable, "main.py"]
    environment = shop.environment(AGENT_DEBUG="1")
    running = [subprocess.Popen(command, cwd=shop.folder, env=environment, stderr=subprocess.PIPE) for _ in range(6)]
    said = [each.communicate(timeout=60)[1].decode() for each in running]
    assert sum("another interpreter read" in text for text in said) == 1
    assert all("monitors of shop applied" in text for text in said)


# -------------------------------------------------------------------------------------- when a plan is made again


def test_a_folder_whose_glob_matched_nothing_is_watched(shop):
    shop.config.write_text("include: [conf.d/*.yaml, 'more/*/x.yaml']\n" + GOOD, encoding="utf-8")
    assert [compiles(shop), compiles(shop)] == [True, False]
    (shop.folder / "conf.d").mkdir()
    assert compiles(shop)
    assert not compiles(shop)
    (shop.folder / "conf.d" / "notes.txt").write_text("not included")
    assert not compiles(shop)
    (shop.folder / "conf.d" / "a.yaml").write_text("version: 1\n")
    assert compiles(shop)
    (shop.folder / "more" / "deep").mkdir(parents=True)
    assert compiles(shop)
    (shop.folder / "more" / "deep" / "x.yaml").write_text("version: 1\n")
    assert compiles(shop)
    (shop.folder / "conf.d" / "a.yaml").unlink()
    assert compiles(shop)
    assert not compiles(shop)


def test_processes_with_other_variables_do_not_take_each_others_plan(shop):
    shop.config.write_text("sentry: {environment: '${SENTRY_ENVIRONMENT:-x}'}\n" + GOOD, encoding="utf-8")
    for _ in range(2):
        for name in ("web", "cron", "worker"):
            runs(shop, SENTRY_ENVIRONMENT=name)
    assert not any(compiles(shop, SENTRY_ENVIRONMENT=name) for name in ("web", "cron", "worker"))
    assert [event["environment"] for event in shop.events()] == ["web", "cron", "worker"] * 3
    shop.config.write_text(shop.config.read_text() + "# changed\n", encoding="utf-8")
    assert all(compiles(shop, SENTRY_ENVIRONMENT=name) for name in ("web", "cron"))
    for number in range(7):
        runs(shop, SENTRY_ENVIRONMENT=str(number))
    assert len(stored(shop)) == 9  # the first, and eight variants


def test_two_environments_do_not_take_each_others_plan(shop, tmp_path):
    """One has what the compiler needs, the other has not."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    bare = Host(tmp_path / "x", str(tmp_path / "venv" / "bin" / "python"))
    bare.folder, bare.config, bare.state_base = shop.folder, shop.config, shop.state_base
    for first in (True, False):
        assert runs(shop) == ""
        assert ("lacks the libraries" in runs(bare)) is first  # the other compiles for it
    assert not compiles(shop)
    assert not compiles(bare)
    assert len(shop.events()) == 6
    assert len(stored(shop)) == 2


@pytest.mark.skipif(not other_pythons(), reason="no environment of another Python here: .ci/run makes them")
def test_two_versions_of_python_do_not_take_each_others_plan(shop):
    other = Host(shop.folder / "x", other_pythons()[-1])
    other.folder, other.config, other.state_base = shop.folder, shop.config, shop.state_base
    for _ in range(2):
        assert runs(shop) == runs(other) == ""
    assert not compiles(shop) and not compiles(other)


def test_a_plan_that_is_replaced_while_a_process_runs(shop):
    shop.write(
        other__py="def g(): raise KeyError('g')\n",
        main__py="import shop, sys\nsys.stdin.readline()\nimport other\ntry: other.g()\nexcept KeyError: print('as always')\n",
    )
    for late in (GOOD + "  - {target: other.g, module: m, operation: g}\n", "gone"):
        shop.config.write_text(GOOD, encoding="utf-8")
        running = subprocess.Popen([sys.executable, "main.py"], cwd=shop.folder, env=shop.environment(), text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        while not list(shop.state.glob(f"run/{running.pid}-*")):
            assert running.poll() is None
            time.sleep(0.01)  # another process's file: nothing to wait on
        if late == "gone":
            shutil.rmtree(shop.state)
        else:
            shop.config.write_text(late, encoding="utf-8")
            shop.run("-c", "pass")
        out, said = running.communicate("\n", timeout=30)
        assert (out, said) == ("as always\n", "")


# ------------------------------------------------------------------------------------------------- whose files they are


def test_what_is_written_is_the_users_alone(shop):
    base = shop.folder / "a" / "b"
    shop.run("main.py", AGENT_STATE_DIR=str(base))
    found = [shop.folder / "a", base, *base.rglob("*")]
    assert len(found) > 5
    for path in found:
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_state_folder_that_is_a_link_is_not_followed(shop, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shop.state.parent.mkdir()
    shop.state.symlink_to(elsewhere)
    runs(shop)
    assert list(elsewhere.iterdir()) == []


@needs_root
def test_a_plan_of_somebody_elses_is_not_read(shop):
    runs(shop)
    (plan,) = stored(shop)
    os.chown(plan, 65534, 65534)
    assert compiles(shop)
    (plan,) = stored(shop)
    assert plan.stat().st_uid == 0
    plan.chmod(0o622)
    assert compiles(shop)
    (plan,) = stored(shop)
    plan.rename(plan.with_suffix(".real"))
    plan.symlink_to(plan.with_suffix(".real"))
    assert compiles(shop)


@needs_root
def test_users_who_share_a_state_folder_get_one_each(shop):
    runs(shop)
    for path in [shop.state, *shop.state.rglob("*")]:
        os.chown(path, 65534, 65534)
    assert runs(shop) == ""
    folder = shop.state.parent / shop.state.name.removesuffix("-0")
    assert sorted(path.name for path in shop.state_base.iterdir()) == [folder.name, folder.name + "-0"]


def test_a_folder_where_the_plan_should_be(shop):
    runs(shop)
    (plan,) = stored(shop)
    plan.unlink()
    plan.mkdir()
    runs(shop)
    runs(shop)
    assert len(shop.events()) == 3


def test_a_damaged_plan_is_made_again(shop):
    """Wherever it is damaged: what has to be read of it is checked, and the process that sees it has a new one made."""
    runs(shop)
    (plan,) = stored(shop)
    whole = plan.read_bytes()
    line = whole.partition(b"\n")[0]
    header, index, rest = map(int, line.split()[2:])
    at = len(line) + 1
    before = len(shop.events())
    for place in (at + 5, at + header + 12, at + header + 16 + index + 40, len(whole) - 1):
        plan.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        assert runs(shop) == ""
        before += 1
        assert len(shop.events()) == before, place
        # What no process has to read may stay as it is.
        assert plan.read_bytes() == whole or place > len(whole) - rest
    plan.write_bytes(whole[:-100])
    assert compiles(shop)


@pytest.mark.parametrize("kind", ["plan", "rejected"])
def test_a_pipe_in_the_place_of_a_plan_keeps_nobody_waiting(shop, kind):
    runs(shop)
    (plan,) = stored(shop)
    file = plan.with_name(plan.name.replace("plan", kind, 1))
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    if kind == "rejected":
        shop.config.write_text(GOOD + "# changed\n", encoding="utf-8")
    assert runs(shop) == ""
    assert len(shop.events()) == 2
    (plan,) = stored(shop)
    assert plan.is_file()


# ------------------------------------------------------------------------------------------------------------- bytecode


def test_a_checkout_without_bytecode_is_compiled_once(shop, tmp_path):
    checkout = tmp_path / "checkout"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "agent", checkout / "agent", ignore=ignore)
    shutil.copytree(ROOT / "schema", checkout / "schema")
    shutil.copy(ROOT / "sitecustomize.py", checkout)
    settings = {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    code = (
        "import _erp_agent.boot.start as s; print(s.start.__code__.co_filename, hasattr(s, '__spec__') and s.__spec__)"
    )
    first, second = shop.run("-c", code, **settings), shop.run("-c", code, **settings)
    assert first.stdout.startswith(f"{checkout}/agent/boot/start.py ModuleSpec")
    assert second.stdout == f"{checkout}/agent/boot/start.py None\n"
    assert not list(checkout.rglob("*.pyc"))
    assert runs(shop, **settings) == ""
    kept = list(shop.state_base.glob("bytecode/*"))
    assert sorted(file.name.partition(".")[0] for file in kept) == ["places", "start"]
    for bytecode in kept:
        for damage in (b"", b"rubbish", bytecode.read_bytes()[:100]):
            bytecode.write_bytes(damage)
            assert runs(shop, **settings) == ""
    source = checkout / "agent" / "boot" / "start.py"
    source.write_text(source.read_text() + "\nNEWER = 1\n")
    assert shop.run("-c", "import _erp_agent.boot.start as s; print(s.NEWER)", **settings).stdout == "1\n"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A checkout without bytecode, and a state folder with what a process that started from it has kept of its own."""
    folder = tmp_path_factory.mktemp("kept")
    checkout = folder / "checkout"
    shutil.copytree(ROOT / "agent", checkout / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "schema", checkout / "schema")
    shutil.copy(ROOT / "sitecustomize.py", checkout)
    host = Host(folder)
    host.write(monitors__yaml=GOOD)
    host.run("-c", "pass", PYTHONPATH=str(checkout), PYTHONDONTWRITEBYTECODE="1")
    return checkout, host.state_base


@pytest.fixture
def bare(shop, kept):
    """A copy of that state folder, and what to start a process with that uses it."""
    checkout, state = kept
    shutil.copytree(state, shop.state_base, copy_function=shutil.copy2)
    (file,) = shop.state_base.glob("bytecode/start.*")
    source = checkout / "agent" / "boot" / "start.py"
    code = compile("import os\nos._exit(77)\n", str(source), "exec", dont_inherit=True)
    settings = {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    return types.SimpleNamespace(
        file=file, folder=file.parent, base=shop.state_base, foreign=file.read_bytes()[:16] + marshal.dumps(code),
        run=lambda **more: shop.run("-c", "pass", check=False, **{**settings, **more}),
    )  # fmt: skip


def _behind_a_link(bare):
    bare.file.rename(bare.base / "upload")
    bare.file.symlink_to(bare.base / "upload")


def _in_a_linked_folder(bare):
    bare.folder.rename(bare.base / "uploads")
    bare.folder.symlink_to("uploads")


def _below_a_link(bare):
    bare.base.rename(bare.base.with_name("elsewhere"))
    bare.base.symlink_to("elsewhere")


#: Ways in which somebody else may have put there what is then run, and a pipe, which would keep everybody waiting.
PLANTED = {
    "a link": _behind_a_link,
    "a link to the folder": _in_a_linked_folder,
    "a link to the state folder": _below_a_link,
    "a file that others may write": lambda bare: bare.file.chmod(0o666),
    "a folder that others may read": lambda bare: bare.folder.chmod(0o755),
    "a folder that others may write": lambda bare: bare.folder.chmod(0o777),
    "a state folder that others may write": lambda bare: bare.base.chmod(0o777),
    "a state folder that its group may write": lambda bare: bare.base.chmod(0o770),
    "a pipe": lambda bare: (bare.file.unlink(), os.mkfifo(bare.file, 0o600)),
    "a pipe for a folder": lambda bare: (shutil.rmtree(bare.folder), os.mkfifo(bare.folder, 0o700)),
    "a folder for a file": lambda bare: (bare.file.unlink(), bare.file.mkdir(0o700)),
    "somebody else's file": lambda bare: os.chown(bare.file, 65534, 65534),
    "somebody else's folder": lambda bare: os.chown(bare.folder, 65534, 65534),
    "somebody else's state folder": lambda bare: os.chown(bare.base, 65534, 65534),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_bytecode_that_somebody_else_may_have_put_there_is_not_run(bare, planted):
    if "somebody" in planted and os.geteuid():
        pytest.skip("only root gives files away")
    bare.file.write_bytes(bare.foreign)
    assert bare.run().returncode == 77  # it is run where it is the user's alone: the test can fail
    PLANTED[planted](bare)
    assert bare.run().returncode == 0


def test_bytecode_below_the_current_folder_is_not_run(bare):
    """A state folder that is named from the home folder, `~/…`, is not one of the current folder's."""
    bare.file.write_bytes(bare.foreign)
    literal = bare.base.parent / "~"
    literal.mkdir()
    bare.base.rename(literal / "state")
    assert bare.run(AGENT_STATE_DIR="~/state", HOME=str(literal)).returncode == 77
    assert bare.run(AGENT_STATE_DIR="~/state", HOME=str(bare.base)).returncode == 0


def test_where_a_state_folder_lies(tmp_path):
    def base(**environ):
        return os.path.dirname(places.state_folder(environ, "/srv/erp/monitors.yaml"))

    user = os.geteuid()
    assert base(HOME=str(tmp_path)) == str(tmp_path / ".local/state/erp-sentry-agent")
    assert base(HOME=str(tmp_path), XDG_STATE_HOME=str(tmp_path / "x")) == str(tmp_path / "x/erp-sentry-agent")
    assert base(AGENT_STATE_DIR="/x/y") == "/x/y"
    elsewhere = f"/var/tmp/erp-sentry-agent-{user}"
    assert base() == base(HOME="relative") == elsewhere
    if user == 0:
        home = tmp_path / "theirs"
        home.mkdir()
        os.chown(home, 65534, 65534)
        assert base(HOME=str(home)) == elsewhere  # sudo with HOME kept
