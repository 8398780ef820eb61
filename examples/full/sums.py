"""Do the agent's counts equal what was called? The load knows the calls behind each response and each task.

A request without a response, and a task whose process was killed, may have been counted or not: these are open calls.
All others must have been counted exactly once.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from typing import Any, Iterator, Mapping, NamedTuple

from .browser import Answer

_PAGE = 100  # orders that the API lists at most
_REFUSALS = ("not_signed_in", "forbidden", "method_not_allowed")
#: Operations of tasks that have monitors of their own; those of others are called as the task.
_TASKS = {
    "sales.tasks.send_order_confirmation": "task.send_order_confirmation",
    "sales.tasks.nightly_invoicing": "task.nightly_invoicing",
    "inventory.tasks.replenish_warehouse": "replenish",
}
_ENDS = ("task-succeeded", "task-failed", "task-retried")


class Sum(NamedTuple):
    """Calls of one operation."""

    operation: str
    counted: int
    known: int
    open: int

    @property
    def is_right(self) -> bool:
        return self.known <= self.counted <= self.known + self.open


def counted(variables: Mapping[str, str]) -> Counter[str]:
    """Calls of each operation since counting began, over all processes that were started with these variables."""
    from agent.base import places
    from agent.measure.figures import Figures

    calls: Counter[str] = Counter()
    for key, counts in Figures(places.state_folder(variables, places.config_path(variables))).totals().items():
        calls[key.operation] += counts.calls
    return calls


def lines(sums: list[Sum]) -> list[str]:
    """Whether all are right, in one line; and a line for each that is not."""
    known = sum(each.known for each in sums)
    certain = sum(min(each.counted, each.known) for each in sums)
    line = f"Counted {certain:,} of {known:,} calls of {len(sums)} operations"
    if any(each.open for each in sums):
        more, most = sum(each.counted for each in sums) - certain, sum(each.open for each in sums)
        line += f", and {more:,} of up to {most:,} whose request or task was cut off"
    wrong = [each for each in sums if not each.is_right]
    return [line] + [
        f"WRONG: {each.operation} was called {each.known:,}"
        + (f" to {each.known + each.open:,}" if each.open else "")
        + f" times, counted {each.counted:,}"
        for each in wrong
    ]


class Known:
    """The calls of which the load knows, by operation."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._least: Counter[str] = Counter()
        self._most: Counter[str] = Counter()

    def watch(self, answer: Answer) -> None:
        """From any thread."""
        with self._lock:
            for operation, least, most in _calls(answer):
                self._least[operation] += least
                self._most[operation] += most

    def beside(self, counted: Mapping[str, int], tasks: Tasks, *, asked: int = 0) -> list[Sum]:
        """All operations of which the load knows, beside the agent's counts of them.

        `asked`: requests for pages that were answered before the load began.
        """
        with self._lock:
            least, most = self._least + tasks.ended, self._most + tasks.received
        least["django.request"] += asked
        most["django.request"] += asked
        return [Sum(name, counted.get(name, 0), least[name], most[name] - least[name]) for name in sorted(most)]


def _calls(answer: Answer) -> Iterator[tuple[str, int, int]]:
    """(operation, calls at least, calls at most) of one request. Status 0: no response came."""
    came = int(answer.status != 0)
    yield "django.request", came, 1
    path = answer.path.partition("?")[0]
    if not path.startswith("/api/"):
        if answer.method == "POST" and re.fullmatch(r"/orders/[^/]+/confirm/", path):
            yield "confirm_order", int(answer.status == 302), 1 - int(answer.status in (403, 404))
        return
    error = answer.json().get("error", {}).get("code") if came and answer.status != 500 else None
    is_order = answer.method == "POST" and path == "/api/orders/"
    is_refused = error in _REFUSALS
    tokens = 2 if is_order and not is_refused else 1  # `orders` passes the request on to `create`
    yield "token_rejected", tokens * came, tokens
    parts = path.strip("/").split("/")[1:]
    if parts[0] != "orders":
        return
    if is_order:
        yield "api.create", came * (not is_refused), int(not is_refused)
        is_reached = not is_refused and error != "not_found"
        yield "create_order", came * is_reached, int(is_reached)
        shown, most = int(answer.status == 201), 1
    elif len(parts) == 1:
        shown, most = len(answer.json()["orders"]) if answer.status == 200 else 0, _PAGE
    else:
        shown, most = int(answer.status == 200), 1
    yield "api." + {1: "orders", 2: "order", 3: parts[-1]}[len(parts)], came, 1
    yield "api.as_json", shown, shown if came else most
    if parts[-1] == "confirm":
        is_reached = not is_refused and error != "not_found"
        yield "confirm_order", came * is_reached, int(is_reached)


class Tasks:
    """Runs of tasks, from the events of a Celery worker that was started with `-E`. Use as a context manager."""

    def __init__(self, broker: str) -> None:
        self.received: Counter[str] = Counter()  # by operation
        self.ended: Counter[str] = Counter()  # those whose process was not killed
        self.lost = 0
        self._broker = broker
        self._names: dict[str, str] = {}  # of tasks, by their ids
        self._is_over = False
        self._listens = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Tasks:
        self._thread.start()
        if not self._listens.wait(30):
            raise TimeoutError("the broker did not accept a listener for events")
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join(10)  # before its broker ends, of which it would print a traceback

    def wait(self, seconds: float = 20.0) -> None:
        """Until each that was received has ended, or so many seconds."""
        until = time.monotonic() + seconds
        while sum(self.received.values()) > sum(self.ended.values()) + self.lost and time.monotonic() < until:
            time.sleep(0.05)

    def _listen(self) -> None:
        import celery

        app = celery.Celery(broker=self._broker)
        with app.connection_for_read() as connection:
            receiver = app.events.Receiver(connection, handlers={"*": self._take})
            receiver.on_consume_ready = lambda *_, **__: self._listens.set()
            receiver.on_iteration = lambda: setattr(receiver, "should_stop", self._is_over)
            receiver.capture()

    def _take(self, event: dict[str, Any]) -> None:
        task = event.get("uuid", "")
        if event["type"] == "task-received":
            self._names[task] = _TASKS.get(event["name"], event["name"])
            self.received[self._names[task]] += 1
        elif event["type"] in _ENDS:
            if "WorkerLostError" in str(event.get("traceback")):
                self.lost += 1
            else:
                self.ended[self._names[task]] += 1
