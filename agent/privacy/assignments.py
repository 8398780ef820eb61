"""`password=…`, `token: …`, `'api_key': …` in running text: where the value begins and ends that a name makes private.

Found from the sign between them: before it is the name, in whatever quotes, brackets and blanks; after it is the
value, on the next line too. Some forms need no sign: `--password X`, `PASSWORD 'X'`,
`<password>X</…>`, `('password', 'X')`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .names import SCRUBBED, is_class, is_phrase, is_secret, sounds_private, value_goes_on
from .patterns import Patterns
from .quoting import quoted_end, value_end, with_replaced

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

#: How far before a sign its name is looked for.
_BEFORE = 320
_PLACED = frozenset(("token", "iban", "email", "card", "phone", "key", "id"))
_VALUE = frozenset(("value", "content", "val", "default", "data"))

_SIGNS = "=:>%&<'\"`\n\\"
_patterns = Patterns(
    other_sign=r"[“\uff1a\uff1d]|-(?<![\w-]-)[-A-Za-z]",
    sign=r"=>|->|[:!]?={1,3}|::?|%3[dDaA]|&#(?:61|58);|[\uff1a\uff1d]",
    # Read backwards: closing signs, the name, what it is an index of, up to three words before.
    name=(
        r"((?:[\s\\\"'`)\]}>*?!”’»]|;touq&|;sopa&|;93#&|;43#&|22%|72%|02%|[dD]5%|[nrt]\\){0,120})"
        r"([\w-]{1,200})(?:[\"'bB]{0,3}[\[(]\s{0,2}[\])\"']{0,3}([\w-]{1,60}))?((?:[ \t]{1,2}[\w-]{1,30}){0,3})"
    ),
    gap=r"(?:[ \t\r\n\u00a0]|\\[nrt]|%20|\+(?=\S)){0,200}",
    next_name=r"[\"']?[\w.-]{1,60}[\"']?[ \t]{0,3}[=:]",
    kept=r"(?:None|null|NULL|nil|True|False|true|false|YES|NO|%s|%r|%d|\{\})(?![^\s,;.)\]}&\"'])",
    after_semicolon=r";[ ]{0,2}(?:[\w .]{1,40}=|\Z|\n)",
    group=r"[0-9]+(?:[ \u00a0-][0-9]+)+(?=[\s,;.)]|\Z)",
    block=r"[|>][+-]?[0-9]?[ \t]*\n(?:[ \t][^\n]*(?:\n|\Z))+",
    line=r"[^\n]+",
    section=r"(?:[^\n,;|]|[,;|](?=\S))+",
    parameter=r"[^\s&]+",
    folded=r"[^\s]+(?:\n [^\s]+){0,200}",
    option=r"(?<![\w-])--?([A-Za-z][\w-]{1,60})(?:['\"],[ ]?|[ \t]{1,3})(?=[^\s\-,])",
    quoted=r"(?i)\b(?:password|passwort|passwd|passphrase|pwd|passcode|identified by)[ \t]{1,3}(?=[\"'“`])",
    pair=r"[(\[]\s{0,2}[bu]?[\"']([\w-]{1,80})[\"'],\s{0,2}(?=[bu]?[\"'0-9])",
    tag=r"<(?:[\w.-]{1,40}:)?([\w-]{1,80})(?:\s[^<>]{0,200})?>(?:<!\[CDATA\[)?(?=[^<\s])",
)


def possible(text: str) -> bool:
    """Whether a private name can stand in the text with something behind it: False for nearly all."""
    # Without a sign no value follows a name: so it is with most texts. The pattern comes last, and is rarely compiled.
    sign = any(map(text.__contains__, _SIGNS))
    if not sign and "-" not in text and text.isascii():
        return False
    return sounds_private(text) and (sign or _patterns.other_sign.search(text) is not None)


def without_values(text: str) -> str:
    """The text with `[Filtered]` in place of the values of private names."""
    return with_replaced(text, _values(text), SCRUBBED)


def _values(text: str) -> list[tuple[int, int]]:
    found = list(_assigned(text))
    if "-" in text:
        found += _options(text)
    if "'" in text or '"' in text or "“" in text or "`" in text:
        found += [(each.end(), quoted_end(text, each.end())) for each in _patterns.quoted.finditer(text)]
        found += _pairs(text)
    if "<" in text:
        found += _elements(text)
    return sorted(found)


def _assigned(text: str) -> Iterator[tuple[int, int]]:
    position = 0
    while True:
        sign = _patterns.sign.search(text, position)
        if sign is None:
            return
        position = sign.end()
        name = _name_before(text, sign.start())
        if name:
            start, end = _value(text, position, name)
            if end > start:
                yield start, end
                position = end


def _name_before(text: str, at: int) -> str:
    """The private name that ends here, "" where none does."""
    found = _patterns.name.match(text[max(0, at - _BEFORE) : at][::-1])
    if found is None:
        return ""
    closing, name, base, before = (each[::-1] if each else "" for each in found.groups())
    start = at - found.end(2)
    if name in _PLACED and text[start - 1 : start] == "[" and closing[:1] == "]":
        return ""  # one of our own placeholders
    lead = text[start - 1 : start]
    if lead == "%" and len(name) > 2:
        name = name[2:]  # of an encoded character
    elif lead == "\\" and name[:1] in "nrt":
        name = name[1:]
    if is_secret(name):
        return "" if is_class(name) else name
    if base and ("]" in closing or ")" in closing) and is_secret(base):
        return base
    words = before.split()
    if words and is_phrase(words, name):
        return "".join((*words, name))
    if name.lower() in _VALUE:  # name="password" value="…"
        named = _last_word(text[max(0, start - 100) : start].rstrip("\"' ,;\t\n"))
        if is_secret(named):
            return named
    return ""


def _last_word(text: str) -> str:
    at = len(text)
    while at and (text[at - 1].isalnum() or text[at - 1] in "_-"):
        at -= 1
    return text[at:]


def _value(text: str, position: int, name: str) -> tuple[int, int]:
    """Return where the value after the sign begins and ends; (0, 0) where there is none."""
    gap = _patterns.gap.match(text, position)
    start = gap.end() if gap is not None else position
    if start >= len(text) or text[start] in ",;)]}>" or _patterns.kept.match(text, start) is not None:
        return 0, 0
    between = text[position:start]
    if "\n" in between or "\\n" in between:
        if text[start - 1] not in " \t" and _patterns.next_name.match(text, start) is not None:
            return 0, 0  # PASSWORD= and nothing, and the next name below it
        if text[start] not in "[({" and not quoted_end(text, start):
            return start, _block_end(text, start)
    if text[start] in "|>":
        block = _patterns.block.match(text, start)
        if block is not None:
            return start, block.end()
    if text[start] == "%" and text[start - 1] == "=":  # of a query, where encoded quotes are part of the value
        return start, _end_of(_patterns.parameter, text, start)
    if text[start] in "[({" or quoted_end(text, start):
        return start, value_end(text, start)
    if text.startswith("::", position - 2):  # LDIF, in base 64: lines that go on begin with a blank
        return start, _end_of(_patterns.folded, text, start)
    further = value_goes_on(name)
    if further:
        return start, _end_of(_patterns.line if further == "\n" else _patterns.section, text, start)
    semicolon = text.find(";", start, start + 300)
    if semicolon > start and "\n" not in text[start:semicolon] and _patterns.after_semicolon.match(text, semicolon):
        return start, semicolon
    group = _patterns.group.match(text, start)
    end = group.end() if group is not None else value_end(text, start)
    while end > start and text[end - 1] in ",;)]}>\"'":
        end -= 1
    return start, end


def _block_end(text: str, start: int) -> int:
    """The end of this line, and of those below it that are not less indented: a list, or a mapping."""
    indent = start - text.rfind("\n", 0, start) - 1
    end = text.find("\n", start)
    while (
        end >= 0
        and indent
        and text[end + 1 : end + 1 + indent].isspace()
        and "\n" not in text[end + 1 : end + 1 + indent]
    ):
        end = text.find("\n", end + 1)
    return len(text) if end < 0 else end


def _end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return found.end() if found is not None else start


def _options(text: str) -> Iterator[tuple[int, int]]:
    """`--password X`, and `'--password', 'X'` of a command line that was printed as a list."""
    for found in _patterns.option.finditer(text):
        if is_secret(found.group(1)):
            yield found.end(), value_end(text, found.end())


def _pairs(text: str) -> Iterator[tuple[int, int]]:
    """`('password', 'X')`: two texts in brackets, of which the first is a name."""
    for found in _patterns.pair.finditer(text):
        if is_secret(found.group(1)):
            end = value_end(text, found.end())
            if text[end : end + 1] in (")", "]", "\n", ""):
                yield found.end(), end


def _elements(text: str) -> Iterator[tuple[int, int]]:
    """`<password>X</password>`"""
    for found in _patterns.tag.finditer(text):
        if is_secret(found.group(1)):
            limit = min(len(text), found.end() + 4_000)
            end = text.find("</", found.end(), limit)
            yield found.end(), limit if end < 0 else end
