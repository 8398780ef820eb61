"""Plays the steps of a day one after another, with the people who take part in it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Callable

from django.db import connection
from django.test import Client

from erp import clock
from erp.demo import catalogue
from erp.errors import BusinessError
from sales.models import Customer, Order, Product


@dataclass(frozen=True)
class Step:
    name: str
    time: str
    summary: str
    play: Callable[[Day], None]


STEPS: dict[str, Step] = {}


def step(time: str, summary: str) -> Callable[[Callable[[Day], None]], Callable[[Day], None]]:
    """Make a function a step of the day; ``order_taken`` becomes the step ``order-taken``."""

    def register(play: Callable[[Day], None]) -> Callable[[Day], None]:
        name = play.__name__.replace("_", "-")
        STEPS[name] = Step(name, time, summary, play)
        return play

    return register


@dataclass
class Day:
    """A day under way: where its story is told, and the browsers and terminals of those who work in it."""

    write: Callable[[str], Any]
    queries: dict[str, int] = field(default_factory=dict)
    _browsers: dict[str, Client] = field(default_factory=dict)
    _now: str = ""

    def run(self, names: Sequence[str]) -> None:
        with clock.business_date(catalogue.DEMO_DAY):
            for name in names:
                self._play(STEPS[name])

    def say(self, text: str) -> None:
        self.write(f"{self._now}  {text}")

    def browser(self, username: str) -> Client:
        """The browser of a user, signed in through the sign-in page when it is used for the first time."""
        if username not in self._browsers:
            browser = visitor()
            sign_in(browser, username, catalogue.PASSWORD.format(username=username))
            self._browsers[username] = browser
        return self._browsers[username]

    def terminal(self, username: str) -> Client:
        """A client of the JSON API with the user's token."""
        token = catalogue.TOKEN.format(username=username)
        return visitor(HTTP_AUTHORIZATION=f"Bearer {token}")

    def _play(self, step: Step) -> None:
        self._now = step.time
        with count_queries() as count:
            try:
                step.play(self)
            except BusinessError as error:
                self.say(f"{step.name} was not possible today: {error}")
        self.queries[step.name] = count[0]


def visitor(**headers: str) -> Client:
    """A browser nobody has signed in with."""
    return Client(raise_request_exception=False, SERVER_NAME="localhost", **headers)


def sign_in(browser: Client, username: str, password: str):
    return browser.post("/accounts/login/", {"username": username, "password": password})


@contextmanager
def count_queries() -> Iterator[list[int]]:
    """A one-element list that counts the statements sent to the database inside the block."""
    count = [0]

    def counting(execute, sql, params, many, context):
        count[0] += 1
        return execute(sql, params, many, context)

    with connection.execute_wrapper(counting):
        yield count


def tiles(response) -> dict[str, str]:
    """The figures at the top of a page, by their captions."""
    found = re.findall(r'class="tile[^"]*"[^>]*><b>(.*?)</b>(.*?)</', response.content.decode())
    return {html.unescape(caption): html.unescape(figure) for figure, caption in found}


def messages(response, level: str) -> list[str]:
    """What a page tells the user, such as its errors."""
    return [
        html.unescape(text)
        for text in re.findall(f'<p class="message {level}">(.*?)</p>', response.content.decode())
    ]


def table_rows(response) -> list[list[str]]:
    """The rows of a report that came as a file, without its heading."""
    return [line.split(";") for line in response.content.decode().splitlines()[1:]]


def customer(name: str) -> Customer:
    return Customer.objects.get(name=name)


def product(code: str) -> Product:
    return Product.objects.get(code=code)


def items(**quantities: int) -> list[dict[str, Any]]:
    """``items(CHR_ASPEN=4)`` as ``create_order`` takes them."""
    return [
        {"product": code.replace("_", "-"), "quantity": quantity} for code, quantity in quantities.items()
    ]


def latest_order() -> Order:
    return Order.objects.order_by("-pk").first()
