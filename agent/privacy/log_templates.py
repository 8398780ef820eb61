"""A log line as it is written in the source, where the program had put it together before it logged it.

`log.info("order %s is late", number)` brings its template along. Of `log.info(f"order {number} is late")` and its like
the record holds the filled text alone. So the place that the record names is read, when a report needs the line, as
frames read their lines: what may leave are literals of the source that together make up the text; what stood between
them is left out. Where none do, the text stays here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.interrupts import ours
from ..base.records import Record
from . import source
from .literals import Token, parts, tokens
from .names import forgetful
from .patterns import FIELD, Patterns

if TYPE_CHECKING:
    import re
    from collections.abc import Sequence

_MOST_LINES = 30  # of one statement
_ABOVE = 60  # lines in which the variable that is logged was given its text
_LONGEST = 20_000  # characters of a text
_MOST_KNOWN = 500

#: (file, line) → the candidates that the source has there, and whether a text is put together in that very statement.
_known: dict[tuple[str, int], tuple[tuple[Candidate, ...], bool]] = {}
forgetful.append(_known.clear)


class Candidate(Record):
    pieces: tuple[str, ...]  # of source that make a text in this order, whatever stands between them
    shown: str


def template(text: str, path: str, line: int, *, filled: bool) -> str | None:
    """The text as the source has it, None where that cannot be known. `filled`: the record has no arguments.

    With arguments, a text that comes from elsewhere (a function that logs for others) counts as a template; but where
    there is no source to read, it is unknown whether it was put together as well.
    """
    if len(text) > _LONGEST:
        return None
    key = (path, line)
    found = _known.get(key)
    if found is None:
        try:
            found = _candidates(source.lines(path, line + _MOST_LINES), line)
        except ours(OSError, MemoryError):
            return None  # not to be remembered
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = found
    candidates, built = found
    best = max((each for each in candidates if matches(each.pieces, text)), key=_weight, default=None)
    if best is not None:
        return best.shown
    return None if filled or built else text


def _weight(candidate: Candidate) -> int:
    return sum(map(len, candidate.pieces))


def matches(pieces: tuple[str, ...], text: str) -> bool:
    """Begins with the first piece, ends with the last, and has the others in between in this order."""
    first, *others = pieces
    if not others:
        return text == first
    last = others.pop()
    if not text.startswith(first) or not text.endswith(last) or not any(map(str.strip, pieces)):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in others:
        at = text.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return at <= end


# ---------------------------------------------------------------------------------------------------- in the source


def _candidates(lines: Sequence[str], line: int) -> tuple[tuple[Candidate, ...], bool]:
    if not 0 < line <= len(lines):
        return (), True
    call = _statement(lines, line - 1)
    found = _of(call)
    named = _arguments(call)
    assigned: list[list[Token]] = []
    for number in range(line - 2, max(-1, line - 2 - _ABOVE), -1):
        name = lines[number].strip().partition("=")[0].rstrip("+ ").partition(":")[0].strip()
        if name in named:
            statement = _statement(lines, number)
            signs = [each.text for each in statement]
            assigned.append(statement[signs.index("=") + 1 :] if "=" in signs else [])
            # A lone literal may be what somebody is called; a constant is what its author wrote.
            found += [each for each in _of(assigned[-1]) if len(each.pieces) > 1 or name.isupper()]
    if len(assigned) > 1:  # text = "…", and text += "…"
        found += _of([token for value in reversed(assigned) for token in value])
    return tuple(dict.fromkeys(found)), any(map(_is_built, call, [*call[1:], call[-1]])) if call else False


def _arguments(call: list[Token]) -> set[str]:
    """The variables that are arguments by themselves."""
    around = zip(["", *(each.text for each in call)], call, [*(each.text for each in call[1:]), ""])
    return {each.text for before, each, after in around if each.kind == "name" and before in "(,=" and after in ",)"}


def _is_built(token: Token, after: Token) -> bool:
    return token.kind == "string" and ("f" in parts(token.text)[0].lower() or after.text in ("%", "+", "."))


def _statement(lines: Sequence[str], first: int) -> list[Token]:
    """The tokens from this line on up to where the brackets that it opens are closed."""
    found: list[Token] = []
    depth = 0
    for token in tokens("\n".join(each.rstrip("\r\n") for each in lines[first : first + _MOST_LINES])):
        if token.kind == "open":
            depth += 1
        elif token.kind == "close":
            depth -= 1
        elif token.kind == "line" and depth <= 0 and found and found[-1].text != "\\\n":
            break
        if token.kind not in ("line", "comment"):
            found.append(token)
    return found


def _of(statement: list[Token]) -> list[Candidate]:
    """Each literal, with those beside it; and all literals of an argument with what is added between them."""
    found: list[Candidate] = []
    argument: list[Token] = []
    for place, token in enumerate(statement):
        if token.kind == "string" and (place == 0 or statement[place - 1].kind != "string"):
            run = [token]
            for each in statement[place + 1 :]:
                if each.kind != "string":
                    break
                run.append(each)
            found += _spellings(run)
        argument.append(token)
        if token.text in (",", "(") or place == len(statement) - 1:
            found += _joined(argument)
            argument = []
    found += _joined(statement)
    return found


def _spellings(run: list[Token]) -> list[Candidate]:
    """Literals side by side, as a text of each language of templates."""
    inside = "".join(parts(each.text)[2] for each in run)
    formatted = any("f" in parts(each.text)[0].lower() for each in run)
    found = []
    for language in ("brace",) if formatted else ("plain", "percent", "brace", "dollar"):
        pieces = _pieces(inside, language)
        shown = _plain(inside) if not formatted else _fields(inside)
        found.append(Candidate(pieces, shown))
    return found


def _joined(argument: list[Token]) -> list[Candidate]:
    """`"order " + number + " is late"`, and the parts of a `join`."""
    strings = [place for place, token in enumerate(argument) if token.kind == "string"]
    if not strings or len(argument) == len(strings):
        return []
    found: list[Candidate] = []
    for skipped in (0, 1):  # what joins stands before what is joined
        pieces: list[str] = []
        shown: list[str] = []
        place = None
        for at in strings[skipped:]:
            prefix, _, inside, _ = parts(argument[at].text)
            own = _pieces(inside, "brace") if "f" in prefix.lower() else (_plain(inside),)
            text = _fields(inside) if "f" in prefix.lower() else _plain(inside)
            between = [
                token for token in argument[(place + 1) if place is not None else 0 : at] if token.text not in "(+"
            ]
            if place is None:
                pieces += ("", *own) if between else own
                shown += ("{…}", text) if between else (text,)
            elif between:
                pieces += own
                shown += (_between(between), text)
            else:
                pieces[-1:] = (pieces[-1] + own[0], *own[1:])
                shown.append(text)
            place = at
        if place is None:
            continue
        after = [token for token in argument[place + 1 :] if token.text not in "),"]
        if after:
            pieces.append("")
            shown.append(_between(after))
        found.append(Candidate(tuple(pieces), "".join(shown)))
    return found


def _between(tokens_: list[Token]) -> str:
    """`{order.number}` where it is no more than that."""
    named = [token for token in tokens_ if token.text != "+"]
    simple = all(token.kind == "name" or token.text == "." for token in named)
    return "{" + "".join(token.text for token in named) + "}" if simple and named else "{…}"


#: An escape sequence of a Python literal.
_ESCAPE = r"\\(?:\n|N\{[^}]{0,100}\}|x..|u.{4}|U.{8}|[0-7]{1,3}|.)"

#: By the language of templates: what is filled, and what stands for itself.
_patterns = Patterns(
    plain=rf"(?s){_ESCAPE}",
    percent=rf"(?s)%(?:\([^)]{{0,200}}\))?[-+ #0]{{0,5}}[0-9*]{{0,9}}(?:\.[0-9*]{{1,9}})?[a-zA-Z%]|{_ESCAPE}",
    brace=rf"(?s)\{{\{{|\}}\}}|{FIELD}|{_ESCAPE}",
    dollar=rf"(?s)\$\$|\$\{{?\w{{1,200}}\}}?|{_ESCAPE}",
    field=rf"\{{\{{|\}}\}}|({FIELD})",
    name=r"[^\W\d][\w.]*",
)


_ESCAPES = {"\\n": "\n", "\\t": "\t", "\\'": "'", '\\"': '"', "\\\\": "\\", "\\r": "\r", "\\\n": ""}


def _pieces(inside: str, language: str) -> tuple[str, ...]:
    """What stands between the places that are filled. An escape that is not read is a place as well."""
    pieces: list[str] = [""]
    done = 0
    for found in getattr(_patterns, language).finditer(inside):
        pieces[-1] += inside[done : found.start()]
        done = found.end()
        what = found.group()
        if what in _ESCAPES:
            pieces[-1] += _ESCAPES[what]
        elif what in ("%%", "{{", "}}", "$$"):
            pieces[-1] += what[0]
        else:
            pieces.append("")
    pieces[-1] += inside[done:]
    return tuple(pieces)


def _plain(inside: str) -> str:
    return _patterns.plain.sub(lambda found: _ESCAPES.get(found.group(), found.group()), inside)


def _fields(inside: str) -> str:
    """An f-string's text: of what fills it the name alone."""

    def shown(found: re.Match[str]) -> str:
        if found.group(1) is None:
            return found.group()[0]
        filling = found.group(1)[1:-1]
        simple = _patterns.name.match(filling)
        whole = simple is not None and filling[simple.end() : simple.end() + 1] in ("", "!", ":", "=")
        return "{" + simple.group() + "}" if simple is not None and whole else "{…}"

    return _patterns.field.sub(shown, _plain(inside))
