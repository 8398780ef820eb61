"""The ERP's own processes, as in production: gunicorn, a Celery worker, Celery beat."""

from __future__ import annotations

import os
import signal
import sys
import time
import urllib.error
import urllib.request

from .parts import Parts
from .process import Failed, Process, finish, free_port, held_signals

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ERP = os.path.join(ROOT, "examples", "erp")

#: The Monday that the demonstration company's data is made for.
BOOKING_DATE = "2026-03-09"


class Stack:
    """The ERP on `parts` with its log and mail in the folder `home`; all of it ends with the block.

    `variables` are for the ERP's own processes alone: those that switch the agent on, if it is to be on. Its database is
    called `name`, and is a copy of `template` if there is one.
    """

    def __init__(
        self,
        parts: Parts,
        home: str,
        name: str,
        variables: dict[str, str],
        template: str | None = None,
        **settings: str,
    ) -> None:
        self.home = home
        os.makedirs(home, exist_ok=True)
        foreign = ("SENTRY_", "AGENT_", "ERP_", "CELERY_", "DJANGO_", "PYTHON")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        environment.update(parts.create(name, template))
        environment.update(
            ERP_DB=os.path.join(home, "erp.sqlite3"),  # only its folder counts here: for the log file and the mail
            ERP_BOOKING_DATE=BOOKING_DATE,
            PYTHONUNBUFFERED="1",
            XDG_RUNTIME_DIR=home,  # gunicorn's control socket, which is otherwise one for all of a user
        )
        environment.update(settings)
        self.environment = environment
        self.broker = environment["CELERY_BROKER_URL"]
        self.variables = variables
        self._processes: list[Process] = []
        self.asked = 0  # requests that were answered while the web server was started

    def prepare(self, salespeople: int = 0) -> None:
        """Make the tables and the demonstration company, without `variables`: this is not what is watched."""
        self.manage("migrate", "--verbosity=0")
        self.manage("make_data", f"--salespeople={salespeople}")

    def manage(self, *arguments: str) -> str:
        done = finish([sys.executable, "manage.py", *arguments], cwd=ERP, env=self.environment)
        if done.returncode:
            raise Failed(f"manage.py {arguments[0]} failed:\n{done.stderr.strip()[-2000:]}")
        return done.stdout

    def start(
        self,
        workers: int = 2,
        threads: int = 4,
        processes: int = 2,
        *,
        recycled: tuple[int, int] | None = None,
        beat: bool = True,
    ) -> None:
        """Start everything; returns when the web server responds and the worker takes tasks.

        Without `beat`, nothing comes due by itself.
        `recycled`: after about so many requests, and so many tasks, a process is replaced by a new one.
        """
        self.port = free_port()
        of_web, of_worker = [], []
        if recycled is not None:
            of_web = [f"--max-requests={recycled[0]}", f"--max-requests-jitter={recycled[0]}"]
            of_worker = [f"--max-tasks-per-child={recycled[1]}"]
        self.web = self._start(
            "gunicorn", "erp.wsgi", f"--bind=127.0.0.1:{self.port}", f"--workers={workers}", f"--threads={threads}",
            "--keep-alive=30", *of_web,
        )  # fmt: skip
        self.worker = self._start("celery", "-A", "erp", "worker", "-E", f"--concurrency={processes}", *of_worker)
        if beat:
            schedule = os.path.join(self.home, "beat-schedule")
            self.beat = self._start("celery", "-A", "erp", "beat", "--pidfile=", f"--schedule={schedule}")
        self.web.wait_until(self._web_answers)
        self.worker.wait_until(self._worker_waits)
        if beat:
            self.beat.wait_until(lambda: "is starting" in self.beat.said())

    def wait_for_tasks(self, timeout: float = 60.0) -> None:
        """Until no task waits for a worker."""
        until = time.monotonic() + timeout
        quiet = 0
        with self._broker() as broker:
            while quiet < 3:  # on its way from the one to the other, a task is in neither for a moment
                quiet = 0 if broker.llen("celery") or broker.hlen("unacked") else quiet + 1
                if time.monotonic() > until:
                    raise Failed(f"tasks still wait after {timeout:.0f} s")
                time.sleep(0.1)

    def finish_tasks(self) -> None:
        """No task is added any more, and none waits. Those that were received may still run."""
        self.beat.stop()
        self.wait_for_tasks()

    def stop(self) -> None:
        """End everything, in the order in which an operator would: nobody adds work to what is about to stop."""
        for process in reversed(self._processes):
            process.stop(signal.SIGTERM)
        self._processes.clear()

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _broker(self):
        import redis

        return redis.Redis.from_url(self.broker)

    def _web_answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/accounts/login/", timeout=60) as answer:
                self.asked += 1
                return answer.status == 200
        except urllib.error.HTTPError:
            self.asked += 1
            return False
        except (OSError, urllib.error.URLError):
            return False

    def _worker_waits(self) -> bool:
        # What the worker says of being ready goes where the ERP's logging settings send it.
        with self._broker() as broker:
            number = str(broker.connection_pool.connection_kwargs["db"])
            return any(client["cmd"] == "brpop" and client["db"] == number for client in broker.client_list())

    def _start(self, module: str, *arguments: str) -> Process:
        name = {"worker": "worker", "beat": "beat"}.get(
            next((a for a in arguments if a in ("worker", "beat")), ""), "web"
        )
        command = [sys.executable, "-m", module, *arguments]
        environment = {**self.environment, **self.variables}
        with held_signals():
            process = Process(
                name, command, os.path.join(self.home, f"{name}.log"), folder=ERP, environment=environment
            )
            self._processes.append(process)
        return process
