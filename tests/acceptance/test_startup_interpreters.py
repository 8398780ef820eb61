"""Every way to run Python: the host starts as if the agent were not there, and is monitored where that can be."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
import zipfile

import pytest
from acceptance.host import ROOT, Host, other_pythons
from acceptance.services import UWSGI_MASTER, free_port, uwsgi_program
from measure import reading

SHOP = "def f(x=1):\n    if x > 5: raise ValueError(x)\n    return x\n"
MAIN = "import shop\ntry: shop.f(9)\nexcept ValueError: print('as always')\n"
GOOD = "version: 1\nmodules: {m: {description: M}}\ndefaults: {rate_limit: 1000/s}\nmonitors:\n  - {target: shop.f, module: m, operation: op}\n"

OTHERS = other_pythons()


@pytest.fixture
def shop(host):
    host.write(shop__py=SHOP, main__py=MAIN, monitors__yaml=GOOD)
    return host


@pytest.mark.parametrize(
    "flags",
    [["-X", "frozen_modules=off"], ["-X", "frozen_modules=on"], ["-X", "importtime"], ["-X", "dev"], ["-X", "utf8=0"],
     ["-v"], ["-O", "-X", "frozen_modules=off"], ["-s"], ["-q"], ["-X", "tracemalloc=3"], ["-X", "faulthandler"]],
    ids=" ".join,
)  # fmt: skip
def test_options(shop, flags):
    for _ in range(2):
        done = shop.run(*flags, "main.py", PYTHONDONTWRITEBYTECODE="1")
        assert done.stdout == "as always\n"
        assert "agent:" not in done.stderr
        assert "Warning" not in done.stderr
    assert len(shop.events()) == 2


@pytest.mark.parametrize("flags", [["-I"], ["-S"], ["-E"]])
def test_options_under_which_nothing_of_ours_is_loaded(shop, flags):
    code = "import sys; print([name for name in sys.modules if 'erp' in name])"
    assert shop.run(*flags, "-c", code).stdout == "[]\n"


@pytest.mark.parametrize("python", OTHERS or [pytest.param("", marks=pytest.mark.skip("no other Python here"))])
def test_every_supported_version(shop, python):
    other = Host(shop.folder / "x", python)
    other.folder, other.config, other.state_base = shop.folder, shop.config, shop.state_base
    for flags in ([], ["-OO"], ["-X", "importtime"]):
        done = other.run(*flags, "main.py")
        assert done.stdout == "as always\n"
        assert "agent:" not in done.stderr
    assert len(shop.events()) == 3


#: Each runs in a thread of its own, at the same time as the others: from 3.12 on, each has a GIL of its own.
SUBINTERPRETERS = """
import sys, threading, shop
program = "import sys; sys.path.insert(0, %r); import shop\\nfor n in range(100):\\n try: shop.f(8 * (n == 50))\\n except ValueError: pass"
program %= sys.path[0]
if sys.version_info >= (3, 14):
    from concurrent import interpreters

    def run(made):
        made.exec(program)
        made.close()
else:
    try: import _interpreters as interpreters
    except ImportError: import _xxsubinterpreters as interpreters

    def run(made):
        error = interpreters.run_string(made, program)
        assert error is None, error
        interpreters.destroy(made)
kinds = (("isolated",), ("legacy",)) if sys.version_info[:2] == (3, 13) else ((), ())
threads = [threading.Thread(target=run, args=(interpreters.create(*kind),)) for kind in kinds]
for each in threads: each.start()
try: shop.f(9)
except ValueError: print("outside")
for each in threads: each.join()
"""


@pytest.mark.parametrize("python", [sys.executable, *OTHERS])
def test_each_subinterpreter_is_monitored(shop, python):
    version = subprocess.check_output([python, "-c", "import sys; print(*sys.version_info[:2])"], text=True).split()
    if tuple(map(int, version)) < (3, 12):  # before that all of them share what 3.12 gives each
        pytest.skip("no subinterpreter of its own kind")
    shop.write(main__py=SUBINTERPRETERS)
    other = Host(shop.folder / "x", python)
    other.folder, other.config, other.state_base = shop.folder, shop.config, shop.state_base
    bare, watched = other.run("main.py", agent=False), other.run("main.py")
    assert (watched.stdout, watched.stderr) == (bare.stdout, bare.stderr) == ("outside\n", "")
    assert len(shop.events()) == 3
    (counts,) = reading.by_monitor(shop.state).values()
    assert (counts.calls, counts.failures) == (201, 3)


def test_an_interactive_interpreter(shop):
    done = subprocess.run([sys.executable, "-i", "-q"], input=MAIN.replace("try:", "\ntry:") + "\n\n", cwd=shop.folder,
                          env=shop.environment(PYTHONINSPECT="1"), capture_output=True, text=True, timeout=60)  # fmt: skip
    assert "as always" in done.stdout
    assert "agent" not in done.stderr
    assert len(shop.events()) == 1


def test_a_zipapp(shop):
    with zipfile.ZipFile(shop.folder / "app.pyz", "w") as archive:
        archive.writestr("__main__.py", MAIN)
        archive.writestr("shop.py", SHOP)
    (shop.folder / "shop.py").unlink()
    assert shop.run("app.pyz").stdout == "as always\n"
    assert len(shop.events()) == 1


def test_a_sitecustomize_in_a_zip_on_the_path(shop, tmp_path):
    with zipfile.ZipFile(tmp_path / "theirs.zip", "w") as archive:
        archive.writestr("sitecustomize.py", "print('theirs')\n")
    path = os.pathsep.join([str(ROOT), str(tmp_path / "no-such-folder"), str(tmp_path / "theirs.zip")])
    assert shop.run("main.py", PYTHONPATH=path).stdout == "theirs\nas always\n"


def test_a_frozen_program_says_how_to_name_an_interpreter(shop, tmp_path):
    """As PyInstaller makes them: sys.frozen, and sys.executable is the program itself."""
    fake = "import sys\nsys.frozen = True\nsys.executable = sys.prefix + '/no/such/erp-program'\n"
    (tmp_path / "sitecustomize.py").write_text(
        fake + f"sys.path[0] = {str(ROOT)!r}\ndel sys.modules['sitecustomize']\nimport sitecustomize\n"
    )
    done = shop.run("main.py", PYTHONPATH=str(tmp_path))
    assert done.stdout == "as always\n"
    assert "name one in AGENT_PYTHON" in done.stderr and done.stderr.count("\n") == 1
    (file,) = shop.state.glob("rejected-*.bin")
    file.unlink()
    done = shop.run("main.py", PYTHONPATH=str(tmp_path), AGENT_PYTHON=sys.executable)
    assert (done.stdout, done.stderr) == ("as always\n", "")
    assert len(shop.events()) == 1


@pytest.mark.parametrize("home", [None, "", "relative", "/no/such/home", "read-only"])
def test_homes(shop, tmp_path, home):
    if home == "read-only":
        home = str(tmp_path / "home")
        (tmp_path / "home").mkdir(mode=0o500)
    # Elsewhere than in this user's real /var/tmp folder the result cannot be seen; that it runs is what counts.
    shop.write(main__py=MAIN)
    done = shop.run("main.py", HOME=home, AGENT_DEBUG="1", AGENT_STATE_DIR=None)
    assert done.stdout == "as always\n"
    state = done.stderr.partition("state ")[2].partition("\n")[0]
    try:
        assert os.path.isabs(state)
        assert "monitors of shop applied" in done.stderr
    finally:
        shutil.rmtree(state, ignore_errors=True)
        if home == "/no/such/home":
            shutil.rmtree("/no", ignore_errors=True)  # root may make it


@pytest.mark.parametrize("closed", ["0", "1", "2", "0 1 2"])
@pytest.mark.parametrize("fresh", [True, False])
def test_standard_streams_that_are_closed_from_the_start(shop, closed, fresh):
    """Also while the configuration is compiled: its pipe then has the numbers of the streams."""
    if fresh:
        shop.run("main.py")
    shop.write(main__py="import os, shop\ntry: shop.f(9)\nexcept ValueError: os._exit(7)\n")
    command = f"exec {sys.executable} main.py " + " ".join(f"{number}>&-" for number in closed.split())
    done = subprocess.run(["sh", "-c", command], cwd=shop.folder, env=shop.environment(), timeout=60, check=False)
    assert done.returncode == 7
    assert len(shop.events()) == 1 + fresh


@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="needs root and unshare")
def test_without_proc(shop):
    """As in a chroot: a file system of its own lies over /proc."""
    command = f"mount -t tmpfs none /proc && exec {sys.executable} main.py"
    can = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs none /proc"], check=False, capture_output=True)
    if can.returncode:
        pytest.skip("this container may not mount")
    for _ in range(2):
        done = subprocess.run(["unshare", "-m", "sh", "-c", command], cwd=shop.folder, env=shop.environment(),
                              capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, "as always\n", "")
    assert len(shop.events()) == 2


def test_out_of_file_descriptors(shop):
    shop.run("main.py")
    shop.config.write_text(GOOD + "# changed\n", encoding="utf-8")
    for limit in (4, 5, 6, 8):
        done = subprocess.run(["sh", "-c", f"ulimit -n {limit}; exec {sys.executable} -c 'print(5)'"], cwd=shop.folder,
                              env=shop.environment(AGENT_TESTING="0"), capture_output=True, text=True, timeout=60)  # fmt: skip
        assert done.stdout in ("5\n", "") and done.stderr.count("agent:") <= 1
        if not done.stdout:  # Python itself cannot start with so few
            assert "agent:" not in done.stderr


def test_embedded_in_uwsgi(shop):
    shop.write(
        web__py="import os, shop\ndef app(environ, start):\n  try: shop.f(9)\n  except ValueError: pass\n"
        "  start('200 OK', []); return [b'%d' % os.getpid()]\n"
    )
    port = free_port()
    server = subprocess.Popen(
        [uwsgi_program(), "--http-socket", f"127.0.0.1:{port}", "--wsgi-file", "web.py", "--callable", "app", *UWSGI_MASTER,
         "--processes=2", "--virtualenv", sys.prefix],
        cwd=shop.folder, env=shop.environment(AGENT_DEBUG="1"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    answers = []
    try:
        until = time.monotonic() + 30
        while len(answers) < 6:
            try:
                answers.append(urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read())
            except OSError:
                assert time.monotonic() < until and server.poll() is None
                time.sleep(0.05)  # waiting for a server's port is the one thing that has no event to wait on
    finally:
        server.terminate()
        said, _ = server.communicate(timeout=120)
    assert "another interpreter read the configuration" in said
    assert len(shop.events()) == 6
    assert {int(answer) for answer in answers} <= {process["pid"] for process in shop.status()}
