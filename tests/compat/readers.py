"""Two real servers that read what the agent sends: Bugsink (a Sentry of one's own) and Spotlight (Sentry's own viewer).

Each is installed into a folder of its own, from PyPI and from npm, and is there for the length of a `with`. What cannot
be installed or started raises Unavailable, with the reason.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

#: Spotlight 4.11 does not start with each of the releases of hono that it admits.
_SPOTLIGHT = ("@spotlightjs/spotlight@4.11.8", "hono@4.12.25")


class Unavailable(Exception):
    """The text says what is missing."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _run(command: list[str], what: str, **options: Any) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{what}: {error}") from None
    if done.returncode:
        raise Unavailable(f"{what}: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


class _Server:
    """A process that listens on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self, command: list[str], ready: str, environment: dict[str, str]) -> None:
        self._log = open(self.folder / "server.log", "wb")
        self._process = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=self._log, stderr=subprocess.STDOUT
        )
        until = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(self.url + ready, timeout=10)
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > until:
                    self.stop()
                    raise Unavailable((self.folder / "server.log").read_text(errors="replace")[-500:]) from None
                time.sleep(0.2)  # a server's port has no event to wait on

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._log.close()

    def __exit__(self, *_: object) -> None:
        self.stop()


_SETTINGS = """
from bugsink.settings.default import *
SECRET_KEY = "for a test alone " * 4
DATABASES["default"]["NAME"] = {folder!r} + "/events.sqlite3"
DATABASES["snappea"]["NAME"] = {folder!r} + "/tasks.sqlite3"
SNAPPEA = {{"TASK_ALWAYS_EAGER": True}}
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
ALLOWED_HOSTS = ["*"]
BUGSINK = {{
    "BASE_URL": {url!r}, "SINGLE_USER": True, "SINGLE_TEAM": True, "USER_REGISTRATION": "CB_NOBODY", "PHONEHOME": False,
    "INGEST_STORE_BASE_DIR": {folder!r} + "/ingest", "VALIDATE_ON_DIGEST": "strict",
}}
"""
_SEED = """
import django; django.setup()
from bsmain.models import AuthToken
from django.contrib.auth import get_user_model
from projects.models import Project
get_user_model().objects.create_superuser("reader@example.com", "reader@example.com", "reader")
print(Project.objects.create(name="erp").dsn, AuthToken.create_full_access().token)
"""


class Bugsink(_Server):
    """On SQLite. It checks each event against Sentry's own schema and takes none that does not keep to it."""

    def __init__(self, folder: Path, environment: Path) -> None:
        super().__init__(folder)
        self._bin = environment / "bin"
        if not (self._bin / "bugsink-manage").exists():
            _run([sys.executable, "-m", "venv", str(environment)], "an environment for Bugsink")
            _run([str(self._bin / "pip"), "install", "-q", "--disable-pip-version-check", "bugsink"], "Bugsink")
        (folder / "bugsink_conf.py").write_text(_SETTINGS.format(folder=str(folder), url=self.url))
        self._environment = {
            "PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(folder), "DJANGO_SETTINGS_MODULE": "bugsink_conf",
        }  # fmt: skip

    def __enter__(self) -> Bugsink:
        around = {"cwd": self.folder, "env": self._environment}
        for database in ("default", "snappea"):
            command = [str(self._bin / "bugsink-manage"), "migrate", "-v0", "--database=" + database]
            _run(command, "Bugsink's tables", **around)
        made = _run([str(self._bin / "python"), "-c", _SEED], "Bugsink's project", **around)
        self.dsn, self._token = made.split()
        gunicorn = str(self._bin / "gunicorn")
        self.start(
            [gunicorn, "-b", f"127.0.0.1:{self.port}", "--no-control-socket", "bugsink.wsgi"],
            "/health/ready", self._environment,
        )  # fmt: skip
        self._open = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar())).open
        self._sign_in()
        return self

    def issues(self) -> list[dict[str, Any]]:
        return self._api("issues/?project=1")["results"]

    def events(self, issue: dict[str, Any]) -> list[dict[str, Any]]:
        """The events of an issue, whole, as the server has stored them."""
        listed = self._api("events/?issue=" + issue["id"])["results"]
        return [self._api(f"events/{each['id']}/")["data"] for each in listed]

    def page(self, issue: dict[str, Any], what: str = "") -> str:
        """The page of the newest event as a person sees it: `` the stack trace, `details/`, `breadcrumbs/`. Text only."""
        return _text(self._open(f"{self.url}/issues/issue/{issue['id']}/event/last/{what}").read().decode())

    def _api(self, path: str) -> Any:
        request = urllib.request.Request(
            f"{self.url}/api/canonical/0/{path}", headers={"Authorization": "Bearer " + self._token}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def _sign_in(self) -> None:
        address = self.url + "/accounts/login/"
        token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', self._open(address).read().decode())
        assert token is not None
        form = {"username": "reader@example.com", "password": "reader", "csrfmiddlewaretoken": token.group(1)}
        self._open(urllib.request.Request(address, urllib.parse.urlencode(form).encode(), {"Referer": self.url}))


def _text(page: str) -> str:
    """What a page of HTML says, without its tags."""
    import html

    page = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


# Not the program: it reports to its makers.
_SIDECAR = """
import {{ setupSpotlight }} from "@spotlightjs/spotlight";
await setupSpotlight({{ port: {port}, isStandalone: true }});
"""


class Spotlight(_Server):
    def __init__(self, folder: Path, environment: Path) -> None:
        super().__init__(folder)
        node, npm = shutil.which("node"), shutil.which("npm")
        if node is None or npm is None:
            raise Unavailable("Spotlight needs node and npm")
        self._node = node
        if not (environment / "node_modules" / "@spotlightjs").exists():
            environment.mkdir(parents=True, exist_ok=True)
            _run([npm, "install", "--no-audit", "--no-fund", *_SPOTLIGHT], "Spotlight", cwd=environment)
        os.symlink(environment / "node_modules", folder / "node_modules")
        (folder / "sidecar.mjs").write_text(_SIDECAR.format(port=self.port))
        self.dsn = f"http://public@127.0.0.1:{self.port}/1"

    def __enter__(self) -> Spotlight:
        self.start([self._node, "sidecar.mjs"], "/health", {"PATH": os.environ.get("PATH", "")})
        return self

    def errors(self, seconds: int = 3600) -> str:
        """What its MCP server tells of the errors of the last seconds: text for people and machines that ask."""
        call = {"name": "search_errors", "arguments": {"filters": {"timeWindow": seconds}}}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        with urllib.request.urlopen(urllib.request.Request(self.url + "/mcp", body, headers), timeout=60) as answer:
            said = answer.read().decode()
        data = next(line[6:] for line in said.splitlines() if line.startswith("data: "))
        return "\n".join(each["text"] for each in json.loads(data)["result"]["content"])
