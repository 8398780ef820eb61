"""Replaces what looks private in texts.

There are two checks, one after the other. Names: what is under a key such as `password`, however it is spelt. Forms:
e-mail addresses, cards, IBANs, phone numbers, tokens, keys and `name=value` pairs inside any text, and what databases
put into their messages. Where the two disagree with readability, privacy wins.

Every pattern is linear in the text: runs are bounded, and what cannot be bounded is walked by hand. Scrubbing what has
been scrubbed changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.interrupts import ours
from . import assignments, commands, forms, messages, names, numbers, tables
from .names import SCRUBBED, is_secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..base.model import ScrubData

__all__ = ["SCRUBBED", "is_secret"]

#: No text is longer than this when it leaves.
LONGEST = 8_000

#: How much of a text is looked at beyond where it is cut, so that no half of a secret is left at the end.
_MARGIN = 256

#: What the configuration adds: a function that takes further forms out of a text.
_more_forms: Callable[[str], str] | None = None
_configured: ScrubData | None = None


def configure(chosen: ScrubData | None) -> None:
    """Apply `sentry.scrub` of the configuration. Earlier results are forgotten."""
    global _configured, _more_forms
    if chosen is _configured:
        return
    _configured = chosen
    _more_forms = None
    if chosen and (chosen["national_ids"] or chosen["forms"]):
        from .national import compile_forms

        _more_forms = compile_forms(chosen["national_ids"], chosen["forms"])
    names.configure(chosen["names"] if chosen else ())


#: Texts that were found to hold nothing private. Most texts of events come again and again.
clean_texts: set[str] = set()
forgetful = names.forgetful
forgetful.append(clean_texts.clear)
_MOST_TEXTS = 4_000
_LONGEST_KNOWN = 2_000  # characters: a statement's, which costs a hundred microseconds to look through
_MOST_CHARACTERS = 500_000
_characters = 0  # of `clean_texts`, or more


def text(value: str) -> str:
    """The text without what looks private, at most `LONGEST` characters and a note, encodable as UTF-8."""
    global _characters
    if value in clean_texts:
        return value
    if len(value) > LONGEST + 40:  # the note that `clip` appends must not be cut again
        return clip(value, LONGEST)
    clean = scrubbed(value)
    if len(value) <= _LONGEST_KNOWN and clean == value:
        _characters += len(value)
        if len(clean_texts) >= _MOST_TEXTS or _characters > _MOST_CHARACTERS:
            clean_texts.clear()
            _characters = len(value)
        clean_texts.add(value)
    return clean


def clip(value: str, limit: int) -> str:
    """The first `limit` characters, scrubbed, and a note of how many are missing; no half of a secret at the end."""
    length = len(value)
    if length <= limit:
        return text(value)
    seen = scrubbed(value[: limit + _MARGIN])
    # What the cut at limit + margin may have torn is in the last characters of what was seen: they are dropped.
    torn = _MARGIN if length > limit + _MARGIN else 0
    kept = seen[: max(0, min(limit, len(seen) - torn))]
    return _whole(kept) + f"… ({length - limit:,} more characters)"


def _whole(value: str) -> str:
    """Without a placeholder that was cut in two."""
    opened = value.rfind("[", -len(SCRUBBED))
    if opened >= 0 and SCRUBBED.startswith(value[opened:]) and not value.endswith("]"):
        return value[:opened]
    return value


_MOST_ROUNDS = 5


def scrubbed(value: str) -> str:
    """Scrubbed until nothing changes: what one pattern leaves behind may be the beginning of what another finds."""
    for _ in range(_MOST_ROUNDS):
        before, value = value, _scrub(value)
        if value == before:
            break
    return value


def _scrub(value: str) -> str:
    if not value.isascii():
        value = encodable(value)
    if "\0" in value:
        value = value.replace("\0", "\ufffd")
    if _more_forms is not None:
        value = _more_forms(value)
    value = forms.without_credentials(value)
    if assignments.possible(value):
        value = assignments.without_values(value)
        if "\n" in value or "\\n" in value:
            value = tables.without_columns(value)
    value = commands.without_passwords(value)
    value = messages.without_held_values(value)
    if "@" in value or "%40" in value or "64;" in value or "0040" in value or "\uff20" in value:
        value = forms.without_addresses(value)
    return numbers.without_numbers(value)


def number(value: int) -> str | None:
    """Return what replaces a number that is private as a number, None where it may stay."""
    size = abs(value)
    if size >= 10 ** (numbers.SHORTEST_CARD - 1) and size < 10**numbers.LONGEST_CARD and numbers.is_card(str(size)):
        return "[card]"
    if _more_forms is not None and 10**8 <= size < 10**numbers.LONGEST_CARD:
        masked = _more_forms(str(size))
        return masked if masked != str(size) else None
    return None


def encodable(value: str) -> str:
    try:
        value.encode("utf-8")
    except ours(UnicodeEncodeError):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value
