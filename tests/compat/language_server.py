"""The schema in the real yaml-language-server, over its protocol: completion, hover, diagnostics. Needs node and npm.

    python tests/compat/language_server.py [FOLDER]

The server is installed by npm into FOLDER (by default a temporary one) unless it is there already. Not part of
`make test`; `AGENT_COMPAT=1 pytest tests/compat` runs it as a test.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCHEMA = os.path.join(ROOT, "schema", "monitors.schema.json")
SERVER = "yaml-language-server@1"


class Unavailable(Exception):
    """Why it cannot be tried here."""


def install(folder: str) -> str:
    """The server's program. Raises Unavailable."""
    program = os.path.join(folder, "node_modules", "yaml-language-server", "bin", "yaml-language-server")
    if not shutil.which("node"):
        raise Unavailable("node is not installed")
    if not os.path.exists(program):
        if not shutil.which("npm"):
            raise Unavailable("npm is not installed")
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, SERVER],
                              capture_output=True, text=True, timeout=300, check=False)  # fmt: skip
        if done.returncode:
            raise Unavailable("npm cannot install it: " + (done.stderr.strip().splitlines() or ["?"])[-1])
    return program


class Server:
    def __init__(self, program: str) -> None:
        self.process = subprocess.Popen(["node", program, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.messages: "queue.Queue[dict]" = queue.Queue()
        self.number = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        stream = self.process.stdout
        while True:
            length = 0
            while True:
                line = stream.readline()
                if not line:
                    return
                if line == b"\r\n":
                    break
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            self.messages.put(json.loads(stream.read(length)))

    def send(self, **message: object) -> None:
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        self.process.stdin.flush()

    def ask(self, method: str, params: object) -> object:
        self.number += 1
        self.send(id=self.number, method=method, params=params)
        return self.wait(lambda message: message.get("id") == self.number and "method" not in message)["result"]

    def tell(self, method: str, params: object) -> None:
        self.send(method=method, params=params)

    def wait(self, wanted) -> dict:
        while True:
            message = self.messages.get(timeout=60)
            if wanted(message):
                return message
            if "id" in message and "method" in message:  # the server asks us: configuration, registration
                asked = message.get("params") or {}
                settings = [SETTINGS.get(item.get("section"), {}) for item in asked.get("items", [])]
                self.send(id=message["id"], result=settings if "items" in asked else None)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


SETTINGS = {"yaml": {"hover": True, "completion": True, "validate": True, "schemaStore": {"enable": False}}}


class Editor:
    """One file in an editor."""

    def __init__(self, server: Server, folder: str) -> None:
        self.server = server
        self.uri = "file://" + os.path.join(folder, "monitors.yaml")
        self.version = 0
        server.ask("initialize", {"processId": os.getpid(), "rootUri": "file://" + folder, "capabilities": {
            "textDocument": {"completion": {"completionItem": {"documentationFormat": ["markdown"]}},
                             "hover": {"contentFormat": ["markdown"]}},
            "workspace": {"configuration": True},
        }})  # fmt: skip
        server.tell("initialized", {})
        server.tell("workspace/didChangeConfiguration", {"settings": SETTINGS})

    def show(self, text: str) -> "list[dict]":
        """The diagnostics of a text."""
        text = f"# yaml-language-server: $schema={SCHEMA}\n{text}"
        self.version += 1
        self.uri = self.uri.replace("monitors", f"m{self.version}", 1) if self.version == 1 else self.uri
        document = {"uri": f"{self.uri}.{self.version}.yaml", "languageId": "yaml", "version": 1, "text": text}
        self.uri_now = document["uri"]
        self.text = text
        self.server.tell("textDocument/didOpen", {"textDocument": document})
        found = self.server.wait(lambda message: message.get("method") == "textDocument/publishDiagnostics"
                                 and message["params"]["uri"] == self.uri_now)  # fmt: skip
        return found["params"]["diagnostics"]

    def at(self, text: str) -> dict:
        """The place right behind a piece of the text."""
        before = self.text[: self.text.index(text) + len(text)]
        line = before.count("\n")
        return {"textDocument": {"uri": self.uri_now},
                "position": {"line": line, "character": len(before) - before.rfind("\n") - 1}}  # fmt: skip

    def complete(self, behind: str) -> "dict[str, dict]":
        answer = self.server.ask("textDocument/completion", self.at(behind))
        return {item["label"]: item for item in (answer["items"] if isinstance(answer, dict) else answer or [])}

    def hover(self, over: str) -> str:
        answer = self.server.ask("textDocument/hover", self.at(over))
        return json.dumps(answer)


def check(editor: Editor) -> "list[str]":
    """What was tried; raises AssertionError."""
    tried = []
    with open(SCHEMA, encoding="utf-8") as stream:
        schema = json.load(stream)
    with open(os.path.join(ROOT, "monitors.yaml"), encoding="utf-8") as stream:
        own = stream.read().partition("\n")[2]
    diagnostics = editor.show(own)
    assert diagnostics == [], diagnostics[:3]
    tried.append("the example monitors.yaml has no diagnostics")

    editor.show("version: 1\n\n")
    offered = editor.complete("version: 1\n")
    missing = set(schema["properties"]) - {"version"} - set(offered)
    assert not missing, (missing, list(offered))
    tried.append(f"{len(offered)} keys of the file are completed")

    editor.show("version: 1\nmonitors:\n  - target: a.b.c\n    \n")
    offered = editor.complete("a.b.c\n    ")
    missing = set(schema["$defs"]["monitor"]["properties"]) - {"target"} - set(offered)
    assert not missing, (missing, list(offered))
    undocumented = [key for key in schema["$defs"]["monitor"]["properties"]
                    if key != "target" and not offered[key].get("documentation")]  # fmt: skip
    assert not undocumented, undocumented
    tried.append(f"{len(offered)} keys of a monitor are completed, each with its documentation")

    editor.show("version: 1\nmonitors:\n  - target: a.b.c\n    kind: \n")
    offered = editor.complete("kind: ")
    assert {"business", "security", "api"} <= set(offered), list(offered)
    tried.append("the kinds are completed")

    editor.show("version: 1\nmonitors:\n  - target: a.b.c\n    expect: [a.b.E]\n    thresholds: {error: 3s}\n")
    said = editor.hover("    expe")
    assert "part of the business" in said, said
    said = editor.hover("    thres")
    assert "ladder" in said, said
    tried.append("hovering explains a key")

    diagnostics = editor.show("version: 1\nmonitors:\n  - target: a.b.c\n    treshold: 2s\n    kind: databse\n")
    told = {item["range"]["start"]["line"]: item["message"] for item in diagnostics}
    assert "treshold" in told[4], told
    assert "database" in told[5], told
    tried.append("a wrong key and a wrong kind are underlined where they stand")
    return tried


def run(folder: "str | None" = None) -> "list[str]":
    with tempfile.TemporaryDirectory() as temporary:
        server = Server(install(folder or temporary))
        try:
            return check(Editor(server, temporary))
        finally:
            server.close()


if __name__ == "__main__":
    try:
        for line in run(sys.argv[1] if len(sys.argv) > 1 else None):
            print(line)
    except Unavailable as reason:
        sys.exit(f"cannot be tried here: {reason}")
