"""The audit log: one call to write an entry, and who is acting right now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Callable

from django.contrib.auth.models import AbstractBaseUser
from django.db import models

from accounts.models import AuditEntry

# A function and not a lazy user: whoever copies a context compares what is in it, which would wake the user.
_actor: ContextVar[Callable[[], AbstractBaseUser | None]] = ContextVar("actor", default=lambda: None)


@contextmanager
def acting_as(who: Callable[[], AbstractBaseUser | None]) -> Iterator[None]:
    """Entries written inside the block are signed by the user that ``who()`` returns, unless they name one."""
    token = _actor.set(who)
    try:
        yield
    finally:
        _actor.reset(token)


def record(
    action: str,
    obj: models.Model | None = None,
    *,
    actor: AbstractBaseUser | None = None,
    **detail: Any,
) -> AuditEntry:
    """Write one entry. ``detail`` must be JSON: numbers, strings, lists and dicts."""
    who = actor or _actor.get()()
    return AuditEntry.objects.create(
        action=action,
        actor=who if who is not None and who.is_authenticated else None,
        object_type=obj._meta.label_lower if obj is not None else "",
        object_id=str(obj.pk) if obj is not None else "",
        object_name=str(obj)[:120] if obj is not None else "",
        detail=detail,
    )
