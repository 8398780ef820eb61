"""PostgreSQL and Redis of our own: on free ports, in a temporary folder, removed afterwards."""

from __future__ import annotations

import glob
import os
import pwd
import secrets
import shutil
import signal
import tempfile

from .process import Failed, Process, finish, free_port, held_signals, listens

# Where packages put the server's programs without putting them on the path; the newest version counts.
POSTGRES_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")


class Missing(Exception):
    """A part is not installed. The text says how to get it."""


def find() -> tuple[str, str]:
    """The folder of PostgreSQL's programs, and the program of Redis; `Missing` names all that is not here."""
    postgres, redis = _postgres_folder(), shutil.which("redis-server") or shutil.which("valkey-server")
    lacking = [package for found, package in ((postgres, "postgresql"), (redis, "redis-server")) if found is None]
    if lacking:
        raise Missing(
            f"The full demonstration needs {' and '.join(_NAMES[package] for package in lacking)}. On Debian and Ubuntu:\n"
            f"    apt-get install {' '.join(lacking)}\n"
            "Their services need not run: programs of our own are started on free ports, and stopped at the end.\n"
            "If PostgreSQL's programs (initdb, postgres) are somewhere else, name their folder in PG_BIN."
        )
    return postgres, redis


_NAMES = {"postgresql": "PostgreSQL", "redis-server": "Redis"}


def _postgres_folder() -> str | None:
    found = [os.path.dirname(os.path.realpath(path)) for path in [shutil.which("initdb")] if path]
    for pattern in POSTGRES_FOLDERS:
        found += sorted(glob.glob(pattern), key=_version, reverse=True)
    named = os.environ.get("PG_BIN")
    for folder in [named] if named else found:
        if all(os.access(os.path.join(folder, program), os.X_OK) for program in ("initdb", "postgres")):
            return folder
    return None


def _version(folder: str) -> list[int]:
    return [int(number) for number in "".join(c if c.isdigit() else " " for c in folder).split()]


class Parts:
    """A database server and Redis while the block runs. `create` makes room in them for one ERP."""

    def __init__(self) -> None:
        self.postgres_folder, self.redis_program = find()
        self._folder = ""
        self._running: list[tuple[Process, int]] = []
        self._password = secrets.token_urlsafe(16)
        self._created = 0

    def __enter__(self) -> Parts:
        # PostgreSQL refuses to run as root, and whoever runs it instead may not look into our own folders.
        self._user = _somebody_else() if os.geteuid() == 0 else None
        self._folder = tempfile.mkdtemp(prefix="erp-parts-")
        try:
            self._own(self._folder)
            self._start_postgres()
            self._start_redis()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process, how in reversed(self._running):
            process.stop(how)
        self._running.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def create(self, database: str, template: str | None = None) -> dict[str, str]:
        """A new database, empty or a copy of `template`: the variables of the ERP's settings for it.

        Nobody may be connected to the template. The cache and the broker are numbers in Redis that nobody else has.
        """
        program = os.path.join(self.postgres_folder, "createdb")
        address = ["--host=127.0.0.1", f"--port={self.postgres_port}", "--username=erp"]
        if template is not None:
            address.append(f"--template={template}")
        _run([program, *address, database], environment={**os.environ, "PGPASSWORD": self._password})
        cache, broker = 2 * self._created, 2 * self._created + 1
        self._created += 1
        return {
            "ERP_DATABASE_URL": f"postgresql://erp:{self._password}@127.0.0.1:{self.postgres_port}/{database}",
            "ERP_CACHE_URL": f"redis://127.0.0.1:{self.redis_port}/{cache}",
            "CELERY_BROKER_URL": f"redis://127.0.0.1:{self.redis_port}/{broker}",
        }

    def _start_postgres(self) -> None:
        data, secret = os.path.join(self._folder, "postgres"), os.path.join(self._folder, "password")
        with open(secret, "w") as file:
            file.write(self._password)
        self._own(secret)
        initdb = [
            os.path.join(self.postgres_folder, "initdb"),
            "--pgdata",
            data,
            "--username=erp",
            f"--pwfile={secret}",
        ]
        # A database that lives for minutes need not survive a power failure.
        _run([*initdb, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"], self._folder, self._user)
        os.unlink(secret)
        self.postgres_port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.postgres_port,
            "unix_socket_directories": self._folder,
            "fsync": "off",
            "max_connections": 60,
        }
        command = [os.path.join(self.postgres_folder, "postgres"), "-D", data]
        command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        log = os.path.join(self._folder, "postgres.log")
        with held_signals():
            process = Process("PostgreSQL", command, log, folder=self._folder, user=self._user)
            self._running.append((process, signal.SIGINT))  # ends without waiting for those who are connected
        process.wait_until(lambda: "ready to accept connections" in process.said())

    def _start_redis(self) -> None:
        self.redis_port = free_port()
        command = [self.redis_program, "--bind", "127.0.0.1", "--port", str(self.redis_port), "--dir", self._folder]
        command += ["--save", "", "--appendonly", "no", "--databases", "128"]
        log = os.path.join(self._folder, "redis.log")
        with held_signals():
            process = Process("Redis", command, log, folder=self._folder, user=self._user)
            self._running.append((process, signal.SIGTERM))
        process.wait_until(lambda: listens(self.redis_port))

    def _own(self, path: str) -> None:
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)


def _somebody_else() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise Missing(
        "PostgreSQL refuses to run as root, and there is no user postgres or nobody here: run this as another user."
    )


def _run(
    command: list[str], folder: str | None = None, user: pwd.struct_passwd | None = None, environment=None
) -> None:
    become = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    done = finish(command, cwd=folder, env=environment, **become)
    if done.returncode:
        raise Failed(f"{os.path.basename(command[0])} failed:\n{(done.stdout + done.stderr).strip()}")
