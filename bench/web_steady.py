"""Instructions of a request: for bench/web.py, where times are too noisy to distinguish one per cent.

The program runs on valgrind's simulated processor (cachegrind), which counts each instruction in user space: those of
Python, of libraries written in C, and of every thread. Hashes of texts and addresses are the same in every process, and
PostgreSQL and Redis are real. A warm process forks twice: one fork serves a few rounds more than the other, and the
difference is the cost of serving, without what is done once in a process. What the agent does once a second is done
once in these rounds, which take less than a second at full speed. Not counted: the kernel's work, and cache behaviour.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from full.process import Failed
from web_sink import Sink
from web_ways import ERP, Way, check, launch

if TYPE_CHECKING:
    from full.stack import Stack

ROUNDS = 5  # of a dozen requests: then every tenth one, which is traced, is each kind of request in turn
INSIDE = Path(__file__).with_name("web_inside.py")


def available() -> bool:
    return shutil.which("valgrind") is not None and shutil.which("setarch") is not None


def instructions(way: Way, stack: Stack, requests: list[Any], seed: int) -> float:
    """Instructions of a request, in user space. `seed` is that of the hashes of texts."""
    with Sink() as sink:
        words, environment = launch(way, stack, sink)
        environment.update(PYTHONHASHSEED=str(seed), PYTHONDONTWRITEBYTECODE="")
        log = Path(stack.home) / "valgrind"
        valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
        # Programs that start the server are followed into it, and what the server starts for itself is not.
        # A courier starts at full speed: of one that takes seconds, the process would deliver by itself.
        valgrind += ["--trace-children=yes", "--trace-children-skip=*/sh", f"--log-file={log}.%p"]
        command = ["setarch", "--addr-no-randomize", *valgrind]
        with open(Path(stack.home) / "inside.log", "wb") as errors:
            process = subprocess.Popen(
                [*command, *words, str(INSIDE)],
                cwd=ERP, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip

        def ask(question: dict[str, Any]) -> dict[str, Any]:
            try:
                process.stdin.write(json.dumps(question) + "\n")
                process.stdin.flush()
                return json.loads(process.stdout.readline())
            except (OSError, ValueError):
                said = (Path(stack.home) / "inside.log").read_text(errors="replace")
                raise Failed(f"{way.name} ended:\n{said[-2000:]}") from None

        try:
            ask({"requests": requests, "sampled": way.sampled})
            check(way, process.pid, ask({"seen": True}), environment, sink)
            counts = []
            for rounds in (1, 1 + ROUNDS):
                pid = ask({"rounds": rounds})["pid"]
                text = Path(f"{log}.{pid}").read_text()
                counts.append(int(re.search(r"I +refs: +([\d,]+)", text)[1].replace(",", "")))
            check(way, process.pid, ask({"seen": True}), environment, sink)
        finally:
            process.stdin.close()
            process.wait()
        return (counts[1] - counts[0]) / (ROUNDS * len(requests))
