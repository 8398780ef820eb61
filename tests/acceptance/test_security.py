"""docs/security.md, line by line: what another local user can and cannot do. Two real users, made by root."""

import marshal
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest
from acceptance.host import ROOT

from agent.base import places

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("runuser") is None or shutil.which("useradd") is None,
    reason="needs root, who makes two users",
)

#: Tests that run side by side have users of their own.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
ALICE, MALLORY = f"agent-test-alice{WORKER}", f"agent-test-mallory{WORKER}"
SHOP = "def f(x=1):\n    if x > 5: raise ValueError(x)\n    return x\n"
MAIN = "import shop\ntry: shop.f(9)\nexcept ValueError: print('as always')\n"
GOOD = "version: 1\nmodules: {m: {description: M}}\nmonitors:\n  - {target: shop.f, module: m, operation: op}\n"
LIBRARIES = sysconfig.get_paths()["purelib"]


class Machine:
    """A checkout that root has installed, an ERP of Alice's, and Mallory."""

    def __init__(self, folder: Path, python: str) -> None:
        self.python = python
        self.checkout, self.erp, self.public = folder / "checkout", folder / "erp", folder / "public"
        for name in ("agent", "schema"):
            shutil.copytree(ROOT / name, self.checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "sitecustomize.py", self.checkout)
        self.erp.mkdir()
        for name, text in (("shop.py", SHOP), ("main.py", MAIN), ("monitors.yaml", GOOD)):
            (self.erp / name).write_text(text, encoding="utf-8")
        self.public.mkdir()
        self.public.chmod(0o777)
        for path in (self.erp, *self.erp.iterdir()):
            os.chown(path, pwd.getpwnam(ALICE).pw_uid, pwd.getpwnam(ALICE).pw_gid)
        self.config = self.erp / "monitors.yaml"
        self.base = self.public / "state"
        self.state = self.base / places.folder_name(str(self.config))

    def sh(self, user: str, script: str) -> None:
        subprocess.run(["runuser", "-u", user, "--", "sh", "-ec", script], cwd=self.public, check=True, timeout=30)

    def run(self, *arguments: str, user: str = ALICE, **extra: str):
        environment = {
            "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(self.checkout), LIBRARIES]),
            "PYTHONDONTWRITEBYTECODE": "1", "AGENT_CONFIG": str(self.config), "AGENT_STATE_DIR": str(self.base),
            "HOME": pwd.getpwnam(user).pw_dir, **extra,
        }  # fmt: skip
        environment = {name: value for name, value in environment.items() if value}
        become = ["runuser", "-u", user, "--", "env", *([] if environment.get("HOME") else ["-u", "HOME"])]
        become = become if user != "root" else []
        return subprocess.run([*become, self.python, *arguments], cwd=self.erp, env=environment, capture_output=True,
                              text=True, timeout=60)  # fmt: skip

    def runs(self, **extra: str) -> str:
        """Alice's ERP does what it does; what was said on stderr."""
        done = self.run("main.py", **extra)
        assert (done.returncode, done.stdout) == (0, "as always\n"), done.stderr
        assert done.stderr.count("\n") <= 1, done.stderr
        return done.stderr

    def payload(self) -> Path:
        """Code that ends the process with 77, in what looks like bytecode of `start`."""
        source = self.checkout / "agent" / "boot" / "start.py"
        code = compile("import os\nos._exit(77)\n", str(source), "exec", dont_inherit=True)
        status = source.stat()
        head = b"".join((n & 0xFFFFFFFF).to_bytes(4, "little") for n in (int(status.st_mtime), status.st_size))
        from importlib.util import MAGIC_NUMBER

        file = self.public / "payload"
        file.write_bytes(MAGIC_NUMBER + b"\0\0\0\0" + head + marshal.dumps(code))
        file.chmod(0o644)
        return file


@pytest.fixture(scope="module")
def python():
    """One that every user may run, with the libraries; of this version, since bytecode is made for it."""
    for user in (ALICE, MALLORY):
        made = subprocess.run(["useradd", "-m", user], check=False, capture_output=True)
        assert made.returncode in (0, 9), made.stderr
        os.chmod(pwd.getpwnam(user).pw_dir, 0o755)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    asks = "import yaml, jsonschema, sys; print(sys.version_info[:2] == (%d, %d))" % sys.version_info[:2]
    found = None
    for candidate in (sys.executable, *(os.path.join(folder, version) for folder in ("/usr/bin", "/usr/local/bin"))):
        asked = subprocess.run(["runuser", "-u", ALICE, "--", "env", f"PYTHONPATH={LIBRARIES}", candidate, "-c", asks],
                               check=False, capture_output=True, text=True, cwd="/")  # fmt: skip
        if asked.stdout == "True\n":
            found = candidate
            break
    if found is not None:
        yield found
    for user in (ALICE, MALLORY):
        subprocess.run(["userdel", "-r", user], check=False, capture_output=True)
    if found is None:
        pytest.skip("no Python of this version here that other users may run, with yaml and jsonschema")


@pytest.fixture
def machine(python):
    folder = Path(tempfile.mkdtemp())  # pytest's own is root's alone
    folder.chmod(0o755)
    made = Machine(folder, python)
    yield made
    shutil.rmtree(folder)
    for user in (ALICE, MALLORY, "root"):
        shutil.rmtree(f"{places.SHARED}{pwd.getpwnam(user).pw_uid}/{made.state.name}", ignore_errors=True)


def tag() -> str:
    return f"start.{sys.implementation.cache_tag}.pyc"


@pytest.mark.parametrize(
    "how", ["a link to an upload", "a copy", "a linked folder", "a pipe", "an upload that was renamed"]
)
def test_who_made_the_state_folder_cannot_have_code_run_in_the_erp(machine, how):
    payload = machine.payload()
    folder, uploads = f"{machine.base}/bytecode", f"{machine.base}/uploads"
    machine.sh(MALLORY, f"umask 0; mkdir {machine.base}")
    machine.sh(ALICE, f"cp {payload} {machine.erp}/upload.pdf; mkdir -m 755 {uploads}; cp {payload} {uploads}/{tag()}")
    machine.sh(
        MALLORY,
        "umask 0; "
        + {
            "a link to an upload": f"mkdir {folder}; ln -s {machine.erp}/upload.pdf {folder}/{tag()}",
            "a copy": f"mkdir {folder}; cp {payload} {folder}/{tag()}",
            "a linked folder": f"ln -s {uploads} {folder}",
            "a pipe": f"mkdir {folder}; mkfifo {folder}/{tag()}",
            "an upload that was renamed": f"mv {uploads} {folder}",
        }[how],
    )
    for _ in range(2):
        printed = machine.runs()  # its status is not 77, which the planted code would end with
        assert "Traceback" not in printed


def test_the_same_code_is_run_where_the_state_folder_is_the_users(machine):
    """So that the test above can fail."""
    machine.sh(
        ALICE, f"umask 077; mkdir -p {machine.base}/bytecode; cp {machine.payload()} {machine.base}/bytecode/{tag()}"
    )
    assert machine.run("main.py").returncode == 77


@pytest.mark.parametrize(
    "how", ["a plan of theirs", "a link to a plan of the user's", "a folder of theirs", "a linked folder"]
)
def test_who_may_write_the_state_folder_cannot_have_a_plan_read(machine, how):
    """The plan that is planted monitors nothing: as long as events come, it was not the one that counted."""
    for text, run in (("version: 1\nmonitors: []\n", True), (GOOD, False)):
        machine.config.write_text(text.ljust(200), encoding="utf-8")
        os.utime(machine.config, (1, 1))  # the same size and time: the plan of the one is fresh for the other
        if run:
            machine.runs(AGENT_STATE_DIR=f"{machine.erp}/other")
    (empty,) = (machine.erp / "other").glob("*/plan-*.bin")
    copy = machine.public / "empty"
    shutil.copy(empty, copy)
    copy.chmod(0o644)
    shutil.rmtree(machine.base, ignore_errors=True)
    machine.sh(MALLORY, f"umask 0; mkdir {machine.base}; " + {
        "a plan of theirs": f"mkdir {machine.state}; cp {copy} {machine.state}/{empty.name}",
        "a link to a plan of the user's": f"mkdir {machine.state}; ln -s {empty} {machine.state}/{empty.name}",
        "a folder of theirs": f"mkdir {machine.state}; mkfifo {machine.state}/{empty.name}",
        "a linked folder": f"ln -s {empty.parent} {machine.state}",
    }[how])  # fmt: skip
    for _ in range(2):
        machine.runs()
    uid = pwd.getpwnam(ALICE).pw_uid
    own = machine.base / f"{machine.state.name}-{uid}"
    assert len(list(own.glob("spool/held/*.envelope"))) == 2
    assert not list(empty.parent.glob("spool/*/*.envelope"))
    # It would have counted where it belongs to the user: the test can fail.
    machine.runs(AGENT_STATE_DIR=f"{machine.erp}/other")
    assert not list(empty.parent.glob("spool/*/*.envelope"))


def test_nobody_else_reads_events_plans_or_counters(machine):
    machine.sh(ALICE, f"umask 0; mkdir {machine.base}; chmod 777 {machine.base}")
    machine.runs()
    files = [path for path in machine.base.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} >= {"held", "run", machine.state.name}
    for path in files:
        with pytest.raises(subprocess.CalledProcessError):
            machine.sh(MALLORY, f"cat {path} >/dev/null 2>&1")


def test_a_state_folder_that_is_removed_or_exchanged_loses_what_waits_and_nothing_else(machine):
    machine.sh(MALLORY, f"umask 0; mkdir {machine.base}")
    machine.runs()
    machine.sh(MALLORY, f"mv {machine.state} {machine.base}/taken; mkdir {machine.state}; chmod 777 {machine.state}")
    assert machine.runs() == ""
    assert list(machine.state.iterdir()) == []
    machine.sh(MALLORY, f"rmdir {machine.state}; chmod 700 {machine.base}")
    assert "cannot be written" in machine.runs()


@pytest.mark.parametrize("taken", ["mkdir -m 777 {0}", "mkfifo {0}", "ln -s {1} {0}"])
def test_who_took_the_name_in_var_tmp_first_has_nothing_read_or_written_there(machine, taken):
    shared = f"{places.SHARED}{pwd.getpwnam(ALICE).pw_uid}"
    shutil.rmtree(shared, ignore_errors=True)
    machine.sh(ALICE, f"mkdir -m 700 {machine.erp}/own")
    machine.sh(MALLORY, taken.format(shared, machine.erp / "own"))
    try:
        assert "cannot be written" in machine.runs(AGENT_STATE_DIR="", HOME="")
        assert list((machine.erp / "own").iterdir()) == []
        assert not os.path.isdir(shared) or os.listdir(shared) == []
    finally:
        shutil.rmtree(shared) if os.path.isdir(shared) and not os.path.islink(shared) else os.unlink(shared)


def test_root_reads_runs_and_writes_nothing_in_the_home_of_a_user(machine):
    home = pwd.getpwnam(MALLORY).pw_dir
    base = f"{home}/.local/state/erp-sentry-agent"
    machine.sh(MALLORY, f"umask 022; mkdir -p {base}/bytecode {base}/{machine.state.name}; "
                        f"cp {machine.payload()} {base}/bytecode/{tag()}; chmod 700 {base} {base}/bytecode")  # fmt: skip
    for _ in range(2):
        done = machine.run("main.py", user="root", AGENT_STATE_DIR="", HOME=home)
        assert (done.returncode, done.stdout, done.stderr) == (0, "as always\n", "")
    assert [path for path in Path(home).rglob("*") if path.stat().st_uid != pwd.getpwnam(MALLORY).pw_uid] == []


def test_what_a_user_wrote_is_neither_read_nor_printed_by_the_status_of_root(machine):
    shared = f"{places.SHARED}{pwd.getpwnam(MALLORY).pw_uid}"
    shutil.rmtree(shared, ignore_errors=True)
    run, held = f"{shared}/{machine.state.name}/run", f"{shared}/{machine.state.name}/spool/held"
    machine.sh(MALLORY, f"umask 077; mkdir -p {run} {held}; mkfifo {run}/1-1.state; "
                        f"printf '%s\\n' \"('process', 1, 1.0, 'PRINTED', '', '', '')\" > {run}/2-2.state; "
                        f"mkfifo \"{held}/x$(printf '\\033')[2J.envelope\"")  # fmt: skip
    try:
        for command in ("status", "events"):
            done = machine.run(
                "-m", "agent", command, user="root", COLUMNS="300", AGENT_STATE_DIR=str(machine.erp / "root")
            )
            said = done.stdout + done.stderr
            assert f"1 event and 2 processes of {MALLORY} " in " ".join(said.split())
            assert "PRINTED" not in said
            assert "\x1b[2J" not in said
    finally:
        shutil.rmtree(shared)
