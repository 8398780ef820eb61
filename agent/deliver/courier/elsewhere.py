"""A courier whose interpreter lacks urllib3 goes on as the one of another environment, if there is one to use."""

import os

from ...base.interrupts import ours
from ...plan import borrowed
from . import settings


def run(directory: str, words: "list[str]") -> None:
    """Become another interpreter, which runs `words`. Return where there is none to use."""
    found = settings.read(directory)
    other = borrowed.to_deliver(os.path.dirname(found[0].run)) if found is not None else None
    if other is None:
        return
    try:
        os.execv(other, [other, "-S", *words])  # noqa: S606  (only this user and root can change it)
    except ours(OSError):
        return
