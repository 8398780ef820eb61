"""Lines of source code, as stack frames show them, without the secrets that are written in them.

A line is read as Python reads it: names, literals, brackets. Where a statement, an argument or an entry of a dictionary
has a private name in it, its literals go, however the two are put together; every other literal is scrubbed as a text.
The code itself stays. Comments that speak of what is private go whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.records import Record
from .names import SCRUBBED, is_class, is_plain_word, is_secret, may_name_private
from .patterns import FIELD, PREFIX, UUID, Patterns
from .redact import LONGEST, clip, scrubbed, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: How many lines above the first one are read, to know which statement it belongs to.
_ABOVE = 12

#: What takes a name and a password by position.
_SIGN_INS = frozenset((
    "login", "logon", "signin", "sign_in", "authenticate", "connect", "create_engine", "httpbasicauth",
    "httpdigestauth", "basicauth", "basic_auth", "digestauth", "authorize",
))  # fmt: skip
#: Classes that are named for what they handle: their arguments are settings.
_HANDLERS = ("View", "ViewSet", "Form", "Serializer", "Middleware", "Mixin", "Backend", "Manager", "Test", "TestCase")


class Token(Record):
    kind: str  # comment, string, name, number, open, close, line (a new one) or sign
    text: str
    start: int
    end: int


_QUOTED = (
    r"\"\"\"(?:[^\\]|\\.)*?(?:\"\"\"|\Z)|'''(?:[^\\]|\\.)*?(?:'''|\Z)"
    r"|\"(?:[^\"\\\n]|\\.)*(?:\"|(?=\n)|\Z)|'(?:[^'\\\n]|\\.)*(?:'|(?=\n)|\Z)"
)
_patterns = Patterns(
    token=(
        rf"(?s)(?P<comment>#[^\n]*)|(?P<string>{PREFIX}(?:{_QUOTED}))|(?P<name>[^\W\d]\w*)"
        r"|(?P<number>[0-9][\w.]*)|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<line>\n)|(?P<sign>\\\n|[=!<>:]=|[^\s\w])"
    ),
    string=rf"(?s)({PREFIX})(\"\"\"|'''|\"|')(.*?)(\2|\Z)\Z",
    quotes=r"\"\"\"|'''",
    names=r"[^\W\d]\w*",
    key=r"-{0,2}[A-Za-z_][\w.\- ]{0,59}",
    field=FIELD,
    mixed=r"[A-Za-z0-9+/=_~-]{20,}",
    uuid=UUID,
)


def tokens(code: str) -> Iterator[Token]:
    for found in _patterns.token.finditer(code):
        yield Token(found.lastgroup or "sign", found.group(), found.start(), found.end())


def parts(literal: str) -> tuple[str, str, str, str]:
    """Of a string literal the prefix, the opening quote, what stands in between, and the closing quote."""
    found = _patterns.string.match(literal)
    return found.groups() if found is not None else ("", "", literal, "")  # type: ignore[return-value]


def shown(source: Sequence[str], first: int, last: int, limit: int) -> list[str]:
    """The lines from `first` up to `last`, which counts no more, each at most `limit` characters long."""
    above = max(0, first - _ABOVE)
    lines = [each.rstrip("\r\n")[:LONGEST] for each in source[above:last]]
    code = "\n".join(lines)
    opened: str | None = None
    if "pass" in code and '"""' not in code and "'''" not in code:
        opened = _opened(source, above)
        if not opened:  # no line of it is one of a text
            code = "\n".join(map(_without_pass, lines))
    if _plain(code):
        clean = lines[first - above :]
    else:
        opened = _opened(source, above) if opened is None else opened
        clean = _without_secrets(lines, opened)[first - above :]
        _without_keys(lines[first - above :], clean)
    return [each if len(each) <= limit else clip(each, limit) for each in clean]


def _plain(code: str) -> bool:
    """Nothing in it sounds or looks private: what nearly all code is."""
    if may_name_private(code) or any(map(code.lower().__contains__, _SIGN_INS)):
        names = set(_patterns.names.findall(code))
        if any(map(is_secret, names)) or not _SIGN_INS.isdisjoint(map(str.lower, names)):
            return False
    return scrubbed(code) == code and not any(map(_random, _patterns.mixed.findall(code)))


def _without_pass(line: str) -> str:
    """Without the statement `pass`: the word would be a private name."""
    before, statement, after = line.rpartition("pass")
    return before if statement and not after.strip() and before.rstrip()[-1:] in ("", ":") else line


def _random(word: str) -> bool:
    """A key by its looks: letters of both sizes and digits without a word in them, or many hexadecimal digits."""
    if _patterns.uuid.fullmatch(word):
        return False
    digits = sum(map(str.isdigit, word))
    if len(word) >= 32 and not word.lower().strip("0123456789abcdef"):
        return 3 < digits < len(word) - 3
    large, small = sum(map(str.isupper, word)), sum(map(str.islower, word))
    if not digits or min(large, small) < 3:
        return False
    run = longest = 0
    for each in word:
        run = run + 1 if each.islower() else 0
        longest = max(longest, run)
    return longest < 5


def _opened(source: Sequence[str], line: int) -> str:
    """The triple quote that is open where this line begins, "" where none is."""
    opened = ""
    for each in source[:line]:
        if '"""' not in each and "'''" not in each:
            continue
        at = 0
        if opened:
            at = each.find(opened) + 3
            if at < 3:
                continue
            opened = ""
        for token in tokens(each[at:]):
            quote = token.text.lstrip("rRbBuUfFtT")[:3]
            if (
                token.kind == "string"
                and quote in ('"""', "'''")
                and (len(token.text.lstrip("rRbBuUfFtT")) < 6 or not token.text.endswith(quote))
            ):
                opened = quote
    return opened


# ------------------------------------------------------------------------------------------------------ statements


class _Element:
    """A statement, or what stands between two commas of a bracket: with its literals, as places in the code."""

    __slots__ = ("keyword", "literals", "names", "only", "private", "size")

    def __init__(self, private: bool = False) -> None:
        self.private = private  # there is a private name in it
        self.literals: list[tuple[int, int]] = []
        self.size = 0  # tokens
        self.keyword = False  # begins with `name=`
        self.only = ""  # the name that it consists of: an identifier's, or a text's that is one


class _Bracket:
    __slots__ = ("call", "elements", "inside", "positional", "square")

    def __init__(self, inside: bool, call: bool, positional: bool, square: bool) -> None:
        self.inside = inside  # of something private, all of it
        self.call = call
        self.positional = positional  # arguments without a keyword are private
        self.square = square
        self.elements: list[_Element] = []


def _without_secrets(lines: list[str], opened: str) -> list[str]:
    code = "\n".join(lines)
    start = 0
    pieces: list[str] = []
    if opened:  # the first lines are the rest of a text
        start = code.find(opened)
        start = len(code) if start < 0 else start
        pieces.append(_text(code[:start]))
        if start < len(code):
            pieces.append(opened)
            start += len(opened)
    rest = code[start:]
    private, found = private_literals(rest)
    done = 0
    for token in found:
        if token.kind == "string":
            new = _private(token.text) if (token.start, token.end) in private else _literal(token.text)
        elif token.kind == "number":
            new = SCRUBBED if (token.start, token.end) in private else token.text
        elif token.kind == "comment":
            words = _patterns.names.findall(token.text)
            spoken = any(is_secret(each) and not is_plain_word(each) for each in words)
            new = "# " + SCRUBBED if spoken else _text(token.text)
        else:
            continue
        pieces += (rest[done : token.start], new)
        done = token.end
    pieces.append(rest[done:])
    result = "".join(pieces).split("\n")
    return result if len(result) == len(lines) else [SCRUBBED] * len(lines)


def _masked(value: str) -> str:
    return "\n".join([SCRUBBED] * (value.count("\n") + 1))


#: What a private value is encoded with is no secret.
_CODECS = frozenset(("utf-8", "utf8", "ascii", "latin-1", "latin1", "hex", "base64", "rb", "wb"))


def _private(literal: str) -> str:
    inside = parts(literal)[2]
    harmless = not any(map(str.isalnum, inside)) or inside.lower() in _CODECS
    return literal if harmless else _masked(literal)


def _literal(literal: str) -> str:
    """A literal under no private name, scrubbed as the text that it is."""
    prefix, quote, inside, closing = parts(literal)
    if any(map(_random, _patterns.mixed.findall(inside))):
        return _masked(literal)
    if "f" not in prefix.lower():
        return prefix + quote + _text(inside) + closing
    fields = _patterns.field.findall(inside)
    clean = _text(_patterns.field.sub("{}", inside))
    if clean.count("{}") != len(fields):
        return _masked(literal)
    begin, *others = clean.split("{}")
    shown = [each if not set(each) & set("\"'\\") else "{…}" for each in fields]  # texts in it were read as part of it
    return prefix + quote + begin + "".join(map(str.__add__, shown, others)) + closing


def _text(value: str) -> str:
    clean = text(value)
    return clean if clean.count("\n") == value.count("\n") else _masked(value)


def private_literals(code: str) -> tuple[set[tuple[int, int]], list[Token]]:
    """The places of the literals under a private name, and all tokens."""
    found = list(tokens(code))
    private: set[tuple[int, int]] = set()
    brackets: list[_Bracket] = []
    element = _Element()
    outer: list[_Element] = []
    for place, token in enumerate(found):
        kind = token.kind
        if kind == "comment" or token.text == "\\\n":
            continue
        if kind == "line":
            if not brackets and not _goes_on(found, place):
                _end(element, private)
                element = _Element()
            continue
        if kind == "open":
            begins = not brackets and place > 0 and found[place - 1].kind == "line"  # a statement: no name calls it
            callee = None if begins else _significant(found, place, -1)
            named = callee is not None and (callee.kind in ("name", "close")) and callee.text not in _KEYWORDS
            positional = named and callee is not None and callee.text.lower() in _SIGN_INS
            brackets.append(
                _Bracket(element.private, named and token.text == "(", positional, named and token.text == "[")
            )
            outer.append(element)
            element = _Element(element.private)
            continue
        if kind == "close" or (kind == "sign" and token.text == "," and brackets):
            if brackets:
                bracket = brackets[-1]
                bracket.elements.append(element)
                if kind == "close":
                    brackets.pop()
                    parent = outer.pop()
                    _close(bracket, parent, private)
                    parent.size += 1
                    element = parent
                else:
                    element = _Element(bracket.inside)
            continue
        if kind == "sign" and token.text == ";" and not brackets:
            _end(element, private)
            element = _Element()
            continue
        element.size += 1
        follows = _significant(found, place, 1)
        after = follows.text if follows is not None else ""
        if kind == "name":
            if element.size == 1:
                element.only = token.text
                element.keyword = after in ("=", ":")
            if _private_name(token.text, after):
                element.private = True
        elif kind == "string":
            inside = parts(token.text)[2]
            is_key = _patterns.key.fullmatch(inside) is not None and is_secret(inside)
            if element.size == 1:
                element.only = inside if is_key else ""
            if is_key and after == ":":
                element.private = True
            elif is_key and after == "]" and brackets and brackets[-1].square and element.size == 1:
                pass  # headers["Authorization"]: a name, which `_close` hands on
            elif after != "%" and not code.startswith(".format(", token.end):  # a template, which is scrubbed as a text
                element.literals.append((token.start, token.end))
        elif kind == "number":
            before = _significant(found, place, -1)
            if len(token.text) > 2 or (before is not None and before.text in ("=", ":", "==", "!=")):
                element.literals.append((token.start, token.end))
        if element.size > 1 and not (kind == "sign" and token.text == "*"):
            element.only = ""
    while outer:
        brackets[-1].elements.append(element)
        parent = outer.pop()
        _close(brackets.pop(), parent, private)
        element = parent
    _end(element, private)
    return private, found


_KEYWORDS = frozenset(
    ("in", "and", "or", "not", "is", "if", "else", "return", "yield", "for", "lambda", "assert", "print")
)


def _private_name(name: str, after: str) -> bool:
    if is_plain_word(name):  # session.query(…), auth.login(…)
        return after in ("=", ":", "==", "!=", "in", ":=")
    return is_secret(name) and not is_class(name) and not name.endswith(_HANDLERS)


def _significant(found: list[Token], place: int, step: int) -> Token | None:
    place += step
    while 0 <= place < len(found):
        if found[place].kind not in ("comment", "line") and found[place].text != "\\\n":
            return found[place]
        place += step
    return None


def _goes_on(found: list[Token], place: int) -> bool:
    """A statement whose last sign needs more: inside a bracket that was opened above what is read."""
    before = place - 1
    if before < 0 or found[before].kind == "comment":
        before -= 1
    if before < 0 or found[before].kind not in ("sign", "open"):
        return before >= 0 and found[before].text == "\\\n"
    if found[before].text == ":":
        return before > 0 and found[before - 1].kind == "string"
    return found[before].text in ("=", ",", "+", "(", "[", "{", "==", "%")


def _end(element: _Element, private: set[tuple[int, int]]) -> None:
    if element.private:
        private.update(element.literals)


def _close(bracket: _Bracket, parent: _Element, private: set[tuple[int, int]]) -> None:
    """A bracket is closed: what its elements make private, and what is left for the statement around it to decide."""
    elements = bracket.elements
    names = [each for each in elements if each.only and is_secret(each.only) and not is_plain_word(each.only)]
    identifiers = [each for each in names if not each.literals]
    siblings = bool(names) and (bracket.call or (len(elements) == 2 and names[0] is elements[0]))
    option = False
    for each in elements:
        beside = bracket.positional or (siblings and each is not names[0])
        if each.private or option or (beside and not each.keyword):
            private.update(each.literals)
        option = not bracket.call and each.only.startswith("-") and is_secret(each.only)
        parent.literals += each.literals
    if bracket.square and len(elements) == 1 and names and not bracket.call:
        parent.private = True  # form["password"] = …
    if identifiers and not bracket.call and len(elements) > 1:
        parent.private = True  # (user, password) = …


def _without_keys(before: list[str], clean: list[str]) -> None:
    """A private key that spans the lines is replaced whole, also where only its end is among them."""
    if not any("PRIVATE KEY" in each for each in before):
        return
    begins = [number for number, each in enumerate(before) if "BEGIN" in each and "PRIVATE KEY" in each]
    ends = [number for number, each in enumerate(before) if "END" in each and "PRIVATE KEY" in each]
    first = begins[0] if begins and (not ends or begins[0] <= ends[0]) else 0
    last = ends[-1] if ends and (not begins or ends[-1] >= begins[-1]) else len(before) - 1
    clean[first : last + 1] = ["[key]"] * (last + 1 - first)
