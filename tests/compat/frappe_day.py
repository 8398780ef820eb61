"""A day of Frappe with and without the agent: a real site, served by gunicorn and a worker. Not part of `make test`.

    FRAPPE_BENCH=/opt/frappe-bench FRAPPE_PYTHON=/opt/frappe-bench/env/bin/python FRAPPE_SITE=day.localhost
        FRAPPE_PASSWORD=admin python tests/compat/frappe_day.py [--times 5]

The site is changed: make one for this (`bench new-site day.localhost`). Frappe 14 or 15, with Redis and the database running. Exit
status 1: responses differ, an event is missing, too many are there, or a planted secret is in what would be sent.
"""

from __future__ import annotations

import argparse
import glob
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "tests")]

SECRETS = ("p4ssw0rd-0f-anna", "v4lu3-0f-a-f13ld", "1n-th3-p4th", "n0b0dy", "nobody@example.com")
MONITORS = "version: 1\npacks: [frappe]\n"
#: In a worker: a job that fails, one that a user's mistake fails, and a scheduled job that fails.
ENQUEUE = """
import frappe, sys
frappe.init(sys.argv[1], sites_path=".")
frappe.connect()
from frappe.utils.background_jobs import enqueue
enqueue("frappe.client.get_count", queue="short", nothing=1)
enqueue("frappe.client.get", queue="short", doctype="ToDo", name="n0b0dy")
name = "frappe.client.set_value"
if not frappe.db.exists("Scheduled Job Type", {"method": name}):
    frappe.get_doc(doctype="Scheduled Job Type", method=name, frequency="Yearly").insert()
frappe.db.commit()
runs = "frappe.core.doctype.scheduled_job_type.scheduled_job_type.run_scheduled_job"
enqueue(runs, queue="short", job_type=name)
frappe.db.commit()
"""


class Client:
    def __init__(self, port: int, site: str) -> None:
        self.port, self.site, self.cookie = port, site, ""

    def send(self, method: str, path: str, body: Any = None) -> "tuple[int, str]":
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        headers = {"Host": self.site, "Accept": "application/json"}
        if self.cookie:
            headers["Cookie"] = self.cookie
        if body is not None:
            body, headers["Content-Type"] = json.dumps(body), "application/json"
        connection.request(method, urllib.parse.quote(path, safe='/?=&[]",%'), body, headers)
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
        for value in response.headers.get_all("Set-Cookie") or ():
            if value.startswith("sid="):
                self.cookie = value.partition(";")[0]
        connection.close()
        try:
            found = json.loads(text)
            return response.status, ", ".join(sorted(found)) + " " + str(found.get("exc_type"))
        except ValueError:
            return response.status, str(len(text) // 2_000)


def day(port: int, site: str, password: str, times: int) -> "list[tuple[int, str]]":
    """Statuses, the names in the responses, and the kinds of exceptions: the rest differs from run to run."""
    admin, visitor = Client(port, site), Client(port, site)
    wrong = {"usr": SECRETS[4], "pwd": SECRETS[0]}  # ten of them would lock out this address
    got = [
        visitor.send("POST", "/api/method/login", wrong),
        admin.send("POST", "/api/method/login", {"usr": "Administrator", "pwd": password}),
    ]
    for number in range(times):
        got += [
            admin.send("POST", "/api/resource/ToDo", {"description": f"{SECRETS[1]} {number}"}),
            admin.send("POST", "/api/resource/ToDo", {"priority": "High"}),  # a field is missing
            admin.send("GET", '/api/resource/ToDo?fields=["name"]&limit_page_length=1'),
            admin.send("GET", f"/api/resource/ToDo/{SECRETS[3]}-{number}"),  # nothing there
            admin.send("POST", "/api/resource/ToDo", {"description": "x", "allocated_to": SECRETS[4]}),  # no such user
            admin.send("POST", "/api/resource/Role", {"role_name": "System Manager"}),  # is there already
            visitor.send("GET", "/api/resource/User"),  # no permission
            visitor.send(*(("POST", "/api/method/login", wrong) if number < 3 else ("GET", "/api/method/ping"))),
            admin.send("GET", "/api/method/frappe.auth.get_logged_user"),
            admin.send("GET", "/api/method/no.such.method"),
            admin.send("GET", "/api/method/ping"),
        ]
    count = {"doctype": "ToDo", "filters": {"nofield": 1}}
    got.append(admin.send("POST", "/api/method/frappe.client.get_count", count))
    got.append(admin.send("POST", "/api/method/frappe.client.set_value", {"doctype": "ToDo", "name": "x"}))
    return got


class Bench:
    def __init__(self) -> None:
        self.folder, self.site = os.environ["FRAPPE_BENCH"], os.environ["FRAPPE_SITE"]
        self.python = os.environ.get("FRAPPE_PYTHON") or os.path.join(self.folder, "env", "bin", "python")
        self.sites = os.path.join(self.folder, "sites")

    def environment(self, extra: "dict[str, str]") -> "dict[str, str]":
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("AGENT_", "SENTRY_", "PYTHON"))
        }
        return {**kept, **extra}

    @contextmanager
    def serving(self, extra: "dict[str, str]") -> "Iterator[int]":
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        command = [
            self.python,
            "-m",
            "gunicorn",
            "--bind",
            f"127.0.0.1:{port}",
            "--threads=2",
            "frappe.app:application",
        ]
        server = subprocess.Popen(command, cwd=self.sites, env=self.environment(extra), stderr=subprocess.DEVNULL)
        try:
            for _ in range(600):
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.2)
            yield port
        finally:
            server.terminate()
            server.wait(60)

    def work(self, extra: "dict[str, str]") -> None:
        subprocess.run([self.python, "-c", ENQUEUE, self.site], cwd=self.sites, env=self.environment({}), check=True)
        worker = [self.python, "-m", "frappe.utils.bench_helper", "frappe", "worker", "--queue", "short", "--burst"]
        subprocess.run(
            worker, cwd=self.sites, env=self.environment(extra), check=True, capture_output=True, timeout=300
        )


def events_in(state: str) -> "Iterator[dict[str, Any]]":
    from agent.deliver import wire

    for name in sorted(glob.glob(os.path.join(state, "*", "spool", "held", "*"))):
        with open(name, "rb") as stream:
            for item in wire.decode(stream.read()).items:
                if item.type == "event":
                    yield json.loads(item.payload)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    missing = [name for name in ("FRAPPE_BENCH", "FRAPPE_SITE", "FRAPPE_PASSWORD") if not os.environ.get(name)]
    if missing:
        parser.error(f"{', '.join(missing)} is not set")
    bench, password = Bench(), os.environ["FRAPPE_PASSWORD"]
    with tempfile.TemporaryDirectory(prefix="frappe-day-") as folder:
        config, state = os.path.join(folder, "monitors.yaml"), os.path.join(folder, "state")
        with open(config, "w", encoding="utf-8") as stream:
            stream.write(MONITORS)
        agent = {"PYTHONPATH": ROOT, "AGENT_CONFIG": config, "AGENT_STATE_DIR": state}
        with bench.serving({}) as port:
            bare = day(port, bench.site, password, options.times)
        with bench.serving(agent) as port:
            watched = day(port, bench.site, password, options.times)
        bench.work(agent)
        events = list(events_in(state))
    from packs import unknown_exceptions

    wrong = [f"response {at}: {one} {other}" for at, (one, other) in enumerate(zip(bare, watched)) if one != other]
    source = os.path.join(bench.folder, "apps", "frappe")
    wrong += [f"the pack's `defaults` name {name}" for name in unknown_exceptions("frappe", source)]
    for event in events:
        values = event.get("exception", {}).get("values") or [{}]
        print(f"{event['level']:8}{event['tags']['erp.monitor']:24}{event['tags']['erp.operation']:34}"
              f"{values[-1].get('type')} site={event['tags'].get('site')} {event.get('transaction')}")  # fmt: skip
    sent = json.dumps(events)
    wrong += [f"the secret {secret} would be sent" for secret in SECRETS if secret in sent]
    seen = {(event["tags"]["erp.monitor"], event["tags"]["erp.operation"]) for event in events}
    for wanted in (("frappe.request", "frappe.client.get_count"), ("unmonitored.task", "frappe.client.get_count"),
                   ("unmonitored.task", "frappe.client.set_value")):  # fmt: skip
        if wanted not in seen:
            wrong.append(f"no event for {wanted}")
    others = [event for event in events if not re.search("get_count|set_value", event["tags"]["erp.operation"])]
    if others:
        wrong.append(f"{len(others)} events that are not worth reading")
    print(f"{len(bare)} requests, 3 jobs, {len(events)} events")
    for line in wrong:
        print("WRONG:", line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
