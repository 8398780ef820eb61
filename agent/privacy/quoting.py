"""Where a value ends that begins at a place in a text: in quotes of any kind, in brackets, or as one word.

A value is never taken for shorter than it can be. Each function looks at a bounded piece, and what it returns lies
beyond what it looked at or at the end of a line, so that whoever goes on from there stays linear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .patterns import Patterns

if TYPE_CHECKING:
    from collections.abc import Iterable

_FAR = 4_000  # characters; no text that leaves is much longer
_CLOSING = {"“": "”", "„": "“", "‘": "’", "‚": "‘", "«": "»", "»": "«"}


_patterns = Patterns(
    opening=r"(?:[bBrRuUfFN]{1,2}|@)?(\\{0,16})(\"\"\"|'''|[\"'`“„‘‚«]|&(?:quot|apos|#0?39|#34|#x27|#x22);|%2[27])",
    slashes=r"\\+",
    bracket=r"[\[\](){}]|\\{0,16}[\"']",
    word=r"(?:[^\s&]|&(?![\w.\-\[\]%]{1,60}=))+",
)


#: What follows a value and does not belong to it; anything else that is glued to it does.
_BEHIND = ("", *" \t\r\n\u00a0,;:)]}>&\"'\\|/<`")
_QUOTES = ("%22", "%27")


def with_replaced(text: str, spans: Iterable[tuple[int, int]], replacement: str) -> str:
    """The text with `replacement` in these spans, in order. One that begins inside an earlier one extends it."""
    pieces: list[str] = []
    done = 0
    for start, end in spans:
        if start >= done:
            pieces += (text[done:start], replacement)
        done = max(done, end)
    return "".join((*pieces, text[done:])) if pieces else text


def value_end(text: str, start: int) -> int:
    """The end of the value that begins at `start`: quoted, in brackets, or everything up to the next blank."""
    end = bracket_end(text, start) if text[start] in "[({" else quoted_end(text, start)
    if end and (text[end : end + 1] in _BEHIND or (text[end] == "%" and text[end : end + 3] not in _QUOTES)):
        return end
    word = _patterns.word.match(text, end or start)
    return word.end() if word is not None else end or start


def quoted_end(text: str, start: int) -> int:
    """Behind the quote that ends what begins here, 0 where no quote begins.

    A quote that is escaped, doubled or inside a word does not end it. Where none does, the end of the line does.
    """
    opening = _patterns.opening.match(text, start)
    if opening is None:
        return 0
    slashes, quote = opening.groups()
    closing = _CLOSING.get(quote, quote)
    size = len(closing)
    at = opening.end()
    limit = min(len(text), at + _FAR)
    while True:
        at = text.find(closing, at, limit)
        if at < 0:
            break
        before = 0
        while before <= len(slashes) and text[at - before - 1] == "\\":
            before += 1
        after = text[at + size : at + size + 1]
        if closing[0] == "%" and text[at - 3 : at] in ("%5C", "%5c"):
            before += 1
        if before < len(slashes):
            return at - before  # the text around it ends here
        if before > len(slashes):
            at += size
        elif after == closing and size == 1 and at > opening.end() and not slashes:
            at += 2
        elif after.isalnum() or after == "_":
            at += size
        else:
            return at + size
    line = text.find("\n", opening.end(), limit)
    return limit if line < 0 else line


def bracket_end(text: str, start: int) -> int:
    """Behind the bracket that closes the one at `start`, whatever stands in between."""
    search = _patterns.bracket.search
    limit = min(len(text), start + _FAR)
    depth, at = 0, start
    while True:
        found = search(text, at, limit)
        if found is None:
            return limit
        at = found.end()
        what = found.group()
        if what in "[({":
            depth += 1
        elif what in "])}":
            depth -= 1
            if depth == 0:
                return at
        elif not text[found.start() - 1].isalnum() or text[found.start() - 2 : found.start() - 1] in tuple(" ,([{:="):
            at = max(at, min(limit, quoted_end(text, found.start())))
