"""The same work, one person after another, with and without the agent: same responses, same data."""

from __future__ import annotations

import email
import glob
import os
import re
from typing import NamedTuple

from .browser import Answer
from .load import one_after_another
from .people import everybody
from .stack import Stack

#: What is never twice the same, agent or not: secrets that are drawn, and the time on the wall.
_DRAWN = re.compile(
    r'(?<=name="csrfmiddlewaretoken" value=")\w+'
    r"|\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?"  # when an entry was written; business dates have no time
    r"|(?<=<dt>Confirmation</dt><dd>)(?:not )?sent"  # whether the worker has got to it yet
)
_HEADERS = {"date", "set-cookie", "expires", "content-length"}

#: Tables and columns that hold such things. Columns of points in time are left out by their type.
_TABLES = {"django_session"}
_COLUMNS = {("auth_user", "password")}


#: How many to prepare the data with.
SALESPEOPLE = 2


class Outcome(NamedTuple):
    answers: list[str]
    data: dict[str, list[str]]  # table: rows
    mail: list[str]

    def size(self) -> str:
        rows = sum(map(len, self.data.values()))
        return f"{len(self.answers):,} answers, {rows:,} rows in {len(self.data)} tables, {len(self.mail)} mails"


def play(stack: Stack, turns: int) -> Outcome:
    """The work, and what came of it. `stack` has been prepared, with salespeople, and is started and stopped here."""
    answers: list[str] = []
    stack.start(workers=1, threads=1, processes=1, beat=False)  # what comes due at its own time is not the same work
    people = everybody(
        stack.port, lambda answer: answers.append(_answer(answer)) if answer.status else None, salespeople=SALESPEOPLE
    )
    one_after_another(people, turns)
    stack.wait_for_tasks()
    stack.stop()
    return Outcome(answers, data_of(stack.environment["ERP_DATABASE_URL"]), mail_in(stack.home))


def differences(one: Outcome, other: Outcome) -> list[str]:
    """A line for each, at most twenty."""
    found = []
    for number, (first, second) in enumerate(zip(one.answers, other.answers)):
        if first != second:
            found.append(f"answer {number}: {_apart(first, second)}")
    if len(one.answers) != len(other.answers):
        found.append(f"{len(one.answers)} answers and {len(other.answers)}")
    for table in sorted({*one.data, *other.data}):
        first, second = one.data.get(table, []), other.data.get(table, [])
        if first != second:
            found.append(f"table {table}: {len(set(first) ^ set(second))} rows of {len(first)} and {len(second)}")
    if one.mail != other.mail:
        found.append(f"mail: {len(one.mail)} and {len(other.mail)} messages, not the same")
    return found[:20]


def data_of(url: str) -> dict[str, list[str]]:
    """Every row of every table, as text, in order."""
    import psycopg

    data = {}
    with psycopg.connect(url) as connection:
        columns = connection.execute(
            "select table_name, column_name, data_type from information_schema.columns"
            " where table_schema = 'public' order by table_name, ordinal_position"
        ).fetchall()
        tables: dict[str, list[str]] = {}
        for table, column, kind in columns:
            names = tables.setdefault(table, [])
            if kind != "timestamp with time zone" and (table, column) not in _COLUMNS and table not in _TABLES:
                names.append(f'"{column}"')
        for table, names in tables.items():
            rows = connection.execute(f'select {", ".join(names) or "1"} from "{table}"').fetchall()
            data[table] = sorted(map(repr, rows))
    return data


def mail_in(home: str) -> list[str]:
    messages = []
    for path in glob.glob(os.path.join(home, "outbox", "*")):
        with open(path, encoding="utf-8") as file:
            for text in file.read().split("-" * 79 + "\n"):
                if text.strip():
                    message = email.message_from_string(text)
                    del message["Date"]
                    messages.append(message.as_string())
    return sorted(messages)


def _answer(answer: Answer) -> str:
    headers = "\n".join(f"{name}: {value}" for name, value in answer.headers if name.lower() not in _HEADERS)
    body = _DRAWN.sub("…", answer.text)
    return f"{answer.method} {answer.path} {answer.status}\n{headers}\n\n{body}"


def _apart(first: str, second: str) -> str:
    for one, other in zip(first.splitlines(), second.splitlines()):
        if one != other:
            return f"{first.splitlines()[0]}: {one[:120]!r} and {other[:120]!r}"
    return f"{first.splitlines()[0]}: one is longer"
