"""A real Chromium, driven by the DevTools protocol over two pipes: no library, and no port that others could reach."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from acceptance.services import missing

_READ = 1 << 20


class Browser:
    """`connect` makes one. Messages end with a NUL byte."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._rest = b""
        self._number = 0
        self.events: "list[dict]" = []

    def call(self, method: str, session: "str | None" = None, **parameters) -> dict:
        """Send a command and return its result. Events that arrive before it are kept."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._next()
            if reply.get("id") == number:
                assert "error" not in reply, (method, reply["error"])
                return reply["result"]
            self.events.append(reply)

    def wait_for(self, method: str, session: str) -> dict:
        while True:
            for event in self.events:
                if event.get("method") == method and event.get("sessionId") == session:
                    self.events.remove(event)
                    return event["params"]
            self.events.append(self._next())

    def _next(self) -> dict:
        while b"\0" not in self._rest:
            more = os.read(self._back, _READ)
            assert more, "Chromium ended"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def open(
        self, address: str, width: int = 1280, height: int = 900, *, dark: bool = False, script: bool = True
    ) -> "Page":
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(domain + ".enable")
        page.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        page.call("Emulation.setEmulatedMedia", features=scheme)
        page.call("Emulation.setScriptExecutionDisabled", value=not script)
        page.go(address)
        return page


class Page:
    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session

    def call(self, method: str, **parameters) -> dict:
        return self._browser.call(method, self._session, **parameters)

    def go(self, address: str) -> None:
        self.call("Page.navigate", url=address)
        self._browser.wait_for("Page.loadEventFired", self._session)

    def evaluate(self, expression: str):
        """The value of JavaScript, once it is known. The page's own policy does not bind it."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def press(self, key: str) -> None:
        enter = {"text": "\r", "windowsVirtualKeyCode": 13} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, **enter)

    def complaints(self) -> "list[str]":
        """What the console shows in red: errors, uncaught exceptions, and what the policy forbade."""
        self.evaluate("1")
        found = []
        for event in self._mine():
            parameters = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(parameters["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
                found.append(parameters["entry"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
                found.append(str(parameters["args"]))
        return found

    def requested(self) -> "list[str]":
        """The address of everything that the page asked for, itself included."""
        self.evaluate("1")
        sent = [event["params"] for event in self._mine() if event["method"] == "Network.requestWillBeSent"]
        return [each["request"]["url"] for each in sent]

    def _mine(self) -> "list[dict]":
        return [event for event in self._browser.events if event.get("sessionId") == self._session]

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self) -> bytes:
        return base64.b64decode(self.call("Page.printToPDF", printBackground=False)["data"])


@contextmanager
def chromium() -> "Iterator[Browser]":
    """A browser with a profile of its own, without extensions and without network services of its own."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        missing("Chromium")
    profile = tempfile.mkdtemp(prefix="chromium-")
    theirs_in, to = os.pipe()
    back, theirs_out = os.pipe()
    # The protocol is spoken on descriptors 3 and 4.
    wiring = """if 1:
        import fcntl, os, sys
        read, write = (fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3])
        os.dup2(read, 3)
        os.dup2(write, 4)
        os.execv(sys.argv[3], sys.argv[3:])
    """
    command = (
        sys.executable, "-c", wiring, str(theirs_in), str(theirs_out),
        program, "--headless=new", "--remote-debugging-pipe",
        f"--user-data-dir={profile}", "--no-first-run", "--disable-extensions", "--disable-background-networking",
        "--disable-component-update", "--disable-gpu", "--disable-dev-shm-usage",
        *(("--no-sandbox",) if os.geteuid() == 0 else ()), "about:blank",
    )  # fmt: skip
    process = subprocess.Popen(
        command, pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(to, back)
    finally:
        os.close(to)
        os.close(back)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(profile, ignore_errors=True)
