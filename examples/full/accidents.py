"""What happens to an ERP's processes in production: they are terminated for a new release, or killed for their memory."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter

from .browser import Answer
from .stack import Stack


class Accidents:
    """Ends one process of the ERP's servers after every so many responses; the server starts another one.

    Not after so many seconds: on a slow machine no process would live long enough to respond.
    """

    def __init__(self, stack: Stack, every: int, seed: str = "1952") -> None:
        self.happened: Counter[str] = Counter()
        self._every = every
        self._kinds = [
            ("web worker terminated", stack.web, signal.SIGTERM),
            ("web worker killed", stack.web, signal.SIGKILL),
            ("task process killed", stack.worker, signal.SIGKILL),
        ]
        self._dice = random.Random(seed)
        self._lock = threading.Lock()
        self._answers = 0

    def watch(self, answer: Answer) -> None:
        """From any thread."""
        if not answer.status:
            return
        with self._lock:
            self._answers += 1
            if self._answers < self._every:
                return
            what, server, how = self._kinds[sum(self.happened.values()) % len(self._kinds)]
            running = server.children()
            if not running:
                return  # the one before it has not been replaced yet: after the next response
            try:
                os.kill(self._dice.choice(running), how)
            except ProcessLookupError:
                return
            self.happened[what] += 1
            self._answers = 0
