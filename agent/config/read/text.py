"""The bytes of a file → text that YAML allows."""

from __future__ import annotations

import re

from .node import Defect, Mark, UnreadableDocument

MOST_BYTES = 10_000_000

# A byte order mark inside a text is one, too: libyaml and PyYAML's own parser do not agree on what it means.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def read_text(file: str) -> tuple[str, list[Defect]]:
    """The text of a UTF-8 file. Raises UnreadableDocument."""
    try:
        with open(file, "rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise UnreadableDocument(
            "file-missing", "there is no such file", "AGENT_CONFIG names the file to read"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableDocument("file-unreadable", f"the file cannot be read: {reason}") from None
    if len(data) > MOST_BYTES:
        message = f"the file is larger than {MOST_BYTES // 1_000_000} MB"
        raise UnreadableDocument("file-too-large", message, "split it up with `include`")
    return decode(data)


def decode(data: bytes) -> tuple[str, list[Defect]]:
    """Raises UnreadableDocument. A UTF-8 byte order mark does no harm, and is noted."""
    defects = []
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableDocument("yaml-encoding", "the file is UTF-16", "save it as UTF-8")
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
        message = "the file begins with a byte order mark"
        defects.append(Defect("yaml-bom", (), Mark(1, 1), message, "save it as UTF-8 without BOM", "note"))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        message = f"the file is not UTF-8 (byte 0x{data[error.start]:02x})"
        mark = _mark_at(before, len(before))
        raise UnreadableDocument("yaml-encoding", message, "save it as UTF-8", mark) from None
    found = _UNPRINTABLE.search(text)
    if found:
        message = f"the character U+{ord(found.group()):04X} is not allowed in YAML"
        raise UnreadableDocument("yaml-character", message, "remove it", _mark_at(text, found.start()))
    return text, defects


def _mark_at(text: str, offset: int) -> Mark:
    before = text[:offset]
    return Mark(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)
