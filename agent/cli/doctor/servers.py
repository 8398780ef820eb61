"""Options of servers and limits of processes that matter to the agent."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ..state.other_processes import is_ours
from .finding import FAIL, OK, WARN, Finding
from .installation import Erp, Installation, named
from .starts import entries_of

NEARLY = 0.9  # of the descriptors that a process may open


def check(installation: Installation) -> Iterator[Finding]:
    changing = [each for each in installation.erp if each.owner == 0 and _user_of(each)]
    if changing:
        without = [each for each in changing if not (each.environ or {}).get("AGENT_STATE_DIR")]
        if without:
            yield Finding("server-changes-user", WARN, "a server starts as root and changes its user", named(without),
                          "set AGENT_STATE_DIR there to a folder that the workers' user owns")  # fmt: skip
        else:
            yield Finding("server-changes-user-prepared", OK, "a server changes its user and has an AGENT_STATE_DIR",
                          named(changing))  # fmt: skip
    late = [each for each in installation.erp if _sets_late(each)]
    if late:
        yield Finding(
            "server-sets-variables-late",
            WARN,
            "the server sets PYTHONPATH or AGENT_ variables itself, when Python has started",
            named(late),
            "set them in the environment of the server: its own options and ini files are too late",
        )
    crowded = [each for each in installation.erp if _descriptors(each)]
    if crowded:
        words = "; ".join(f"{each.name} {each.pid}: {_descriptors(each)}" for each in crowded[:4])
        yield Finding("descriptors-short", FAIL, "a process can hardly open another file", words,
                      "raise the limit (ulimit -n, systemd: LimitNOFILE=), or find what does not close its files: an "
                      "event needs one descriptor for a moment")  # fmt: skip
    elif installation.erp and not late and not changing:
        yield Finding("server-options", OK, "no option or limit of the servers stands in the way")


def _user_of(process: Erp) -> str:
    """The user that a server's workers change to: gunicorn --user, celery --uid, uwsgi --uid."""
    names = {"gunicorn": ("-u", "--user"), "celery": ("--uid",), "uwsgi": ("--uid",)}.get(process.name, ())
    words = process.words
    for number, word in enumerate(words):
        option, separator, value = word.partition("=")
        if option in names:
            return value if separator else words[number + 1] if number + 1 < len(words) else ""
    return ""


def _sets_late(process: Erp) -> bool:
    """Gunicorn --env PYTHONPATH=…, uwsgi --env=AGENT_CONFIG=…"""
    given = [word for number, word in enumerate(process.words) if number and _is_environment(process.words, number)]
    late = [word.partition("env=")[2] or word for word in given]
    here = any(is_ours(entry) for entry in entries_of(process.environ or {}, process.folder))
    return any(each.startswith("AGENT_") or (each.startswith("PYTHONPATH=") and not here) for each in late)


def _is_environment(words: list[str], number: int) -> bool:
    return words[number - 1] in ("-e", "--env") or words[number].startswith("--env=")


def _descriptors(process: Erp) -> str:
    """Return "950 of 1,024" for a process that has nearly as many files open as it may, else an empty text."""
    try:
        opened = len(os.listdir(f"/proc/{process.pid}/fd"))
        with open(f"/proc/{process.pid}/limits", encoding="ascii", errors="replace") as stream:
            line = next(each for each in stream if each.startswith("Max open files"))
        most = int(line.split()[3])
    except (OSError, StopIteration, ValueError, IndexError):
        return ""
    return f"{opened:,} of {most:,}" if opened > NEARLY * most else ""
