"""The cost of the agent to the smallest request: a `hello world` of Flask, in instructions in user space.

    python bench/flask_hello.py            without the agent, with it, with the pack `flask`, and with traces

Needs valgrind. Python's own wsgiref calls the application, without a socket. Each way is run twice, with different
numbers of requests, and the difference is the cost of those: what a process does once is not in it. That of no agent
repeats to a fraction of a per cent, however busy the machine is; the agent does some things once a second or a minute,
and its own figures vary by about 3 %.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FEW, MANY = 300, 900
HOST = """
import io, sys
import flask
from wsgiref.handlers import SimpleHandler
app = flask.Flask("hello")
@app.route("/hello/<name>")
def hello(name): return "hello"
def environ():
    return {"REQUEST_METHOD": "GET", "PATH_INFO": "/hello/world", "SCRIPT_NAME": "", "QUERY_STRING": "",
            "HTTP_HOST": "erp", "SERVER_NAME": "erp", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1"}
for _ in range(int(sys.argv[1])):
    out = io.BytesIO()
    SimpleHandler(io.BytesIO(), out, sys.stderr, environ()).run(app)
assert out.getvalue().endswith(b"hello")
"""
CONFIG = 'version: 1\nsentry: {{dsn: "http://public@127.0.0.1:9/1", release: "1"{more}}}\n{packs}\n'
WAYS = {
    "no agent": None,
    "no agent, again": None,
    "the agent": CONFIG.format(more="", packs=""),
    "with the pack flask": CONFIG.format(more="", packs="packs: [flask]"),
    "and a trace of each request": CONFIG.format(more=", traces_sample_rate: 0.0001", packs="packs: [flask]"),
}


def instructions(folder: Path, number: int, config: str | None, seed: int) -> int:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONHASHSEED": str(seed)}
    if config is not None:
        folder.joinpath("monitors.yaml").write_text(config, encoding="utf-8")
        environment.update(
            PYTHONPATH=str(ROOT), AGENT_CONFIG=str(folder / "monitors.yaml"), AGENT_STATE_DIR=str(folder / "state")
        )
    program = folder / "host.py"
    program.write_text(HOST, encoding="utf-8")
    command = ["setarch", "--addr-no-randomize", "valgrind", "--tool=cachegrind", "--cache-sim=no"]
    command += ["--cachegrind-out-file=/dev/null", sys.executable, str(program), str(number)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=True)
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    assert found, done.stderr[-1000:]
    return int(found.group(1).replace(",", ""))


def main() -> int:
    bare = 0.0
    made = tempfile.mkdtemp(prefix="bench-flask-")
    try:
        for number, (name, config) in enumerate(WAYS.items()):
            folder = Path(made) / str(number)
            folder.mkdir()
            if config is not None:
                instructions(folder, 1, config, 1)  # which compiles the plan
            seed = 2 if number == 1 else 1
            few, many = (instructions(folder, count, config, seed) for count in (FEW, MANY))
            each = (many - few) / (MANY - FEW)
            bare = bare or each
            print(f"{name:30}{each:12,.0f}{each / bare:8.3f}", flush=True)
    finally:
        shutil.rmtree(made, ignore_errors=True)  # a courier of the last way may still write
    return 0


if __name__ == "__main__":
    sys.exit(main())
