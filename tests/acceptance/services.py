"""Real servers for tests, once for each run of pytest (and each of its workers): `redis_server`, `postgres_server`.

Where a server's program is missing, tests that need it are skipped with the reason; in CI (`CI=true`) they fail.
"""

import glob
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

_READY = 60  # seconds for a server on a busy machine to report that it is ready
_TRIES = 5  # a port that was free may be taken by another program by the time it is used
_CLAIMS: "list[socket.socket]" = []


class Redis(NamedTuple):
    host: str
    port: int

    def url(self, database: int = 0) -> str:
        return f"redis://{self.host}:{self.port}/{database}"


class Postgres(NamedTuple):
    """A cluster that trusts everyone on the loopback; its user `erp` may create databases."""

    host: str
    port: int
    user: str
    binaries: str  # the folder of `createdb`, `psql` …

    def url(self, database: str = "postgres", scheme: str = "postgresql") -> str:
        return f"{scheme}://{self.user}@{self.host}:{self.port}/{database}"

    def create(self, database: str) -> str:
        """A new, empty database; its address."""
        program = os.path.join(self.binaries, "createdb")
        address = ["--host", self.host, "--port", str(self.port), "--username", self.user]
        subprocess.run([program, *address, database], check=True, capture_output=True)
        return self.url(database)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    program = shutil.which("redis-server") or missing("redis-server")
    with run_redis(program) as redis:
        yield redis


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    debian = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))  # which it does not put on PATH
    initdb = shutil.which("initdb") or (debian[-1] if debian else missing("PostgreSQL's initdb"))
    with run_postgres(os.path.dirname(os.path.realpath(initdb))) as postgres:
        yield postgres


@contextmanager
def run_redis(program: str = "redis-server", port: "int | None" = None) -> Iterator[Redis]:
    """A server that keeps nothing. `port` is for one that must come back where another was."""
    folder = tempfile.mkdtemp(prefix="redis-")
    try:
        with _on_a_free_port(
            lambda port: [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
            "ready to accept connections",
            port,
        ) as chosen:
            yield Redis("127.0.0.1", chosen)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def run_postgres(binaries: str) -> Iterator[Postgres]:
    """PostgreSQL refuses to run as root: it then runs as the user that Debian made for it."""
    user = _postgres_user() if os.geteuid() == 0 else None
    folder = tempfile.mkdtemp(prefix="postgres-")  # not pytest's: that is closed to other users
    try:
        if user is not None:
            shutil.chown(folder, user)
        data = os.path.join(folder, "data")
        make = [os.path.join(binaries, "initdb"), "-D", data, "-U", "erp", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run([*make, "--no-locale"], check=True, capture_output=True, user=user, cwd=folder)
        with _on_a_free_port(
            lambda port: [
                os.path.join(binaries, "postgres"), "-D", data, "-p", str(port), "-k", folder, "-F",
                "-c", "listen_addresses=127.0.0.1",
            ],
            "ready to accept connections",
            user=user,
        ) as port:  # fmt: skip
            yield Postgres("127.0.0.1", port, "erp", binaries)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def run_rabbitmq() -> Iterator[str]:
    """RabbitMQ as Debian has it, with a name server of its own; its address. Takes some ten seconds."""
    program = next(iter(glob.glob("/usr/lib/rabbitmq/bin/rabbitmq-server")), None) or missing("rabbitmq-server")
    folder = tempfile.mkdtemp(prefix="rabbitmq-")
    names, nodes = free_port(), free_port()
    environment = {
        **os.environ, "HOME": folder, "ERL_EPMD_PORT": str(names), "RABBITMQ_DIST_PORT": str(nodes),
        "RABBITMQ_NODENAME": "tests@localhost", "RABBITMQ_MNESIA_BASE": folder + "/data",
        "RABBITMQ_LOG_BASE": folder + "/log", "RABBITMQ_ENABLED_PLUGINS_FILE": folder + "/plugins",
    }  # fmt: skip
    epmd = subprocess.Popen(["epmd", "-port", str(names)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with _on_a_free_port(
            lambda port: ["env", f"RABBITMQ_NODE_PORT={port}", program], "starting broker... completed",
            environment=environment,
        ) as port:  # fmt: skip
            yield f"amqp://guest:guest@127.0.0.1:{port}//"
    finally:
        epmd.kill()
        epmd.wait()
        shutil.rmtree(folder, ignore_errors=True)


#: Without an agent, too, a worker may miss the signal that ends it if that comes before it waits for requests: the master
#: then kills it, after a minute unless told otherwise.
UWSGI_MASTER = ("--master", "--die-on-term", "--worker-reload-mercy=5")


def uwsgi_program() -> str:
    """uWSGI of this environment, or of the PATH if Python is a part of it: Debian's has a plug-in, with another Python."""
    program = shutil.which("uwsgi", path=os.path.dirname(sys.executable)) or shutil.which("uwsgi")
    options = program and subprocess.run([program, "--help"], capture_output=True, text=True, check=False).stdout
    return program if options and "--wsgi-file" in options else missing("uWSGI with Python in it (pip install uwsgi)")


@contextmanager
def run_prometheus(folder: str, configuration: str, *options: str) -> Iterator[int]:
    """Prometheus with that configuration and an empty database in `folder`; its port."""
    program = shutil.which("prometheus") or missing("prometheus")
    file = os.path.join(folder, "prometheus.yml")
    with open(file, "w", encoding="utf-8") as stream:
        stream.write(configuration)
    with _on_a_free_port(
        lambda port: [
            program, f"--config.file={file}", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}", *options,
        ],
        "server is ready to receive web requests",
    ) as port:  # fmt: skip
        yield port


@contextmanager
def run_node_exporter(folder: str) -> Iterator[int]:
    """node_exporter with its textfile collector alone, which reads `folder`; its port."""
    program = shutil.which("prometheus-node-exporter") or shutil.which("node_exporter")
    options = ["--collector.disable-defaults", "--collector.textfile", f"--collector.textfile.directory={folder}"]
    with _on_a_free_port(
        lambda port: [
            program or missing("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{port}", *options
        ],
        "listening on",
    ) as port:  # fmt: skip
        yield port


def missing(what: str) -> str:
    reason = f"{what} is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _postgres_user() -> str:
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return missing("PostgreSQL's user `postgres`")


def free_port() -> int:
    """A port for one server, which nothing else takes before that server listens, and no other run of the tests chooses.

    Below those that the kernel gives to connections and to servers without a port; held by a name until this process ends.
    """
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    ports = list(range(max(first // 2, 1024), first))
    random.shuffle(ports)
    for port in ports:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0port {port} of the agent's tests")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _CLAIMS.append(claim)
        return port
    raise OSError("no port is free")


@contextmanager
def _on_a_free_port(command, ready, port=None, user=None, environment=None) -> Iterator[int]:
    for left in reversed(range(_TRIES)):
        chosen = port or free_port()
        server = subprocess.Popen(
            command(chosen), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, user=user, cwd="/",
            env=environment, start_new_session=True,
        )  # fmt: skip
        try:
            failure = _read(server, ready)
            if failure is None:
                yield chosen
                return
            assert left, failure
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(server.pid, signal.SIGKILL)
            server.kill()
            server.wait()
            server.stdout.close()


def _read(server, ready) -> "str | None":
    """Read the server's output for as long as it runs. Return None once it is ready, or else the end of its output."""
    lines: "list[str]" = []
    settled = threading.Event()
    is_ready = threading.Event()

    def read():
        for line in server.stdout:
            if not settled.is_set():
                lines.append(line)
            if ready in line.lower():
                is_ready.set()
                settled.set()
        settled.set()

    threading.Thread(target=read, daemon=True).start()
    settled.wait(_READY)
    return None if is_ready.is_set() else "".join(lines[-20:]) or "the server printed nothing"
