"""The text of a module without the bodies of its functions: on the same lines, and much less of it to parse.

Only for a text that compiles: then the lines show where a statement ends, once strings and comments are out of the
way. What is unusual (tabs, other line breaks, another encoding) stays as it is.
"""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from importlib.util import MAGIC_NUMBER, cache_from_source

#: Strings and comments. What stands before the quote of a string does not change where it ends.
_TOKEN = re.compile(
    rb'(#[^\n]*|"""(?:[^"\\]|\\.|"(?!""))*"""|\'\'\'(?:[^\'\\]|\\.|\'(?!\'\'))*\'\'\'|"(?:[^"\\\n]|\\.)*"'
    rb"|'(?:[^'\\\n]|\\.)*')",
    re.DOTALL,
)
_UNUSUAL = (b"\t", b"\r", b"\f", b"\x01")
_ENCODED = re.compile(rb"(?:[^\n]*\n)?[^\n]*#[^\n]*coding[:=](?! *utf-?8)", re.IGNORECASE)
_DEFINITION = re.compile(rb"\n( *)(?:async +)?def ")
_LINE = re.compile(rb"\n")
_CONTINUED = b"\x01"  # a line break that ends no line of code
_BRACKETS = bytes.maketrans(b"[{]}", b"(())")  # which of them it is makes no difference here
_BARE = re.compile(rb"\n *\\\n|\\\n *(?:\n|\Z)")  # a backslash alone on its line, or before an empty one

#: An f-string may have its own quote inside, and would be taken for several strings.
_NESTED = sys.version_info >= (3, 12)
_FORMATTED = re.compile(rb"[fFtT][rR]?\Z")


def compiles(file: str, source: bytes) -> bool:
    """Whether this Python has compiled it: then there is bytecode, as new as the file."""
    try:
        with open(cache_from_source(file), "rb") as stream:
            head = stream.read(16)
        numbers = (0, int(os.stat(file).st_mtime), len(source))
    except (OSError, ValueError, NotImplementedError):
        return False
    return head == MAGIC_NUMBER + b"".join([(number & 0xFFFFFFFF).to_bytes(4, "little") for number in numbers])


def outline(source: bytes) -> bytes:
    """The same text where there is nothing to leave out, or where it cannot be done."""
    code = _without_strings(source)
    if code is None:
        return source
    lines = source.split(b"\n")
    at, line = 0, -1  # how far it was read, and the line that ends there
    while True:
        found = _DEFINITION.search(code, at)
        if found is None:
            return b"\n".join(lines)
        head = _end(code, found.end(), _LINE)
        line += _line_breaks(code, at, head)
        at = head
        if code[found.end() : head].rstrip().endswith(b":"):
            indent = len(found.group(1))
            at = _end(code, head, _not_deeper(indent))
            last = line + _line_breaks(code, head, head + len(code[head:at].rstrip()))
            lines[line + 1 : last + 1] = [*[b""] * (last - line - 1), b" " * indent + b" 0"]
            line += _line_breaks(code, head, at)


def _without_strings(source: bytes) -> bytes | None:
    """The code alone, after a line break and with as many lines. None where that is not clear."""
    if any(each in source for each in _UNUSUAL) or _ENCODED.match(source):
        return None
    parts = _TOKEN.split(source)
    tokens = parts[1::2]
    if _NESTED and any(map(_may_go_on, parts[::2], tokens)):
        return None
    parts[1::2] = [b"" if token[:1] == b"#" else b"0" + _CONTINUED * token.count(b"\n") for token in tokens]
    code = b"\n" + b"".join(parts)
    if b'"' in code or b"'" in code or (b"\\" in code and _BARE.search(code)):
        return None
    return code.replace(b"\\\n", _CONTINUED).translate(_BRACKETS)


def _may_go_on(before: bytes, token: bytes) -> bool:
    """Whether a string may be the beginning of an f-string that has its own quote inside."""
    return token.count(b"{") != token.count(b"}") and _FORMATTED.search(before) is not None


def _end(code: bytes, begin: int, breaks: re.Pattern[bytes]) -> int:
    """Where the first of these line breaks is that is in no bracket."""
    depth, at = 0, begin
    for found in breaks.finditer(code, begin):
        end = found.start()
        depth += code.count(b"(", at, end) - code.count(b")", at, end)
        if not depth:
            return end
        at = end
    return len(code)


def _line_breaks(code: bytes, begin: int, end: int) -> int:
    return code.count(b"\n", begin, end) + code.count(_CONTINUED, begin, end)


@cache
def _not_deeper(indent: int) -> re.Pattern[bytes]:
    """Line breaks before a line of code that is not indented more."""
    return re.compile(rb"\n {0,%d}[^ \n]" % indent)
