"""What databases and validators put into their messages: the values themselves. They go, and the rest stays.

PostgreSQL and MySQL speak the language of their server, so what is looked for is the shape rather than the words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .names import SCRUBBED
from .patterns import Patterns
from .quoting import quoted_end, with_replaced
from .sql import without_values

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

#: Where one part of a message ends, and the next part begins.
_PART = r"(?=(?:\n|\\n)(?:\[SQL|\[parameters|\(Background|[^\W\d_]{4,14} ?: |\n)|\Z)"


_patterns = Patterns(
    # PostgreSQL: Key (email)=(…) already exists, in any language, and of an exclusion constraint twice.
    key=rf"(?s)(\([^\n=]{{1,400}}\)=\()(.*?){_PART}",
    row=rf"(?s)(Failing row contains \()(.*?){_PART}",
    detail=(
        r"(?s)((?:DETAIL|DETALLE|DETTAGLI|DETALHE|DETALJ|SZCZEGÓŁY|ПОДРОБНОСТИ|CONTEXT|KONTEXT|CONTEXTE|CONTEXTO|CONTESTO)"
        rf" ?: {{0,3}})(.*?){_PART}"
    ),
    held=r"(\\{0,4}[\"“»«])[^\"”«»\n]*([\"”«»]?)|(?<=: )[^\n]+",
    bracket=r"(?s)\(.*\)?",
    line=r"((?:LINE|ZEILE|LIGNE|LÍNEA|LINEA|RIGA|LINHA|RAD|СТРОКА) [0-9]{1,6} ?: )((?:[^\n\\]|\\(?!n))*)",
    # What follows such words in quotes is a value.
    introduced=(
        r"((?:Duplicate entry|(?:Truncated incorrect|Incorrect) [\w ]{1,40} value:|Truncated value:"
        r"|invalid input (?:syntax|value) for [^:\n]{1,80}:|value out of range:|malformed [\w ]{1,30} literal:"
        r"|converting the \w{1,20} value|unrecognized token:|right syntax to use near|at or near"
        r"|Incorrect syntax near|\bnear(?= \"[^\"\n]{0,300}\": syntax)) )(\\{0,4}[\"'“»«])"
    ),
    keyword=r"[A-Z_]{2,30}|\W{1,3}|end of input",
    tail=(
        r"((?:The duplicate key value is \(|On instance[^:\n]{0,200}:(?:\n|\\n)))[^\n]*"
        r"|(input_value=).*?(?=, input_type=|\n|\Z)"
    ),
    # MySQL by number, in any language.
    numbered=r"(\((?:1062|1064|1292|1366|1411|1525), \\{0,4}[\"'][^'\"\n]{0,200}?)(\\{0,4}['\"])",
    parameters=r"(\[parameters: )[^\n]+",
    sql=r"(?s)(\[SQL: )(.*?)(?=\](?:\n|\\n|[ (\"'])|\]?\Z)",
    statement=(
        r"(?s)\b(?:SELECT\s.{1,300}?\sFROM\s|(?:INSERT|REPLACE|MERGE)\s+(?:IGNORE\s+)?INTO\s|UPDATE\s+\S{1,100}\s+SET\s"
        r"|DELETE\s+FROM\s|VALUES\s*\(|WHERE\s+\S|CALL\s+[\w.]{1,80}\(|EXEC\s+\w"
        r"|(?i:select\s[^;]{1,300}?\sfrom\s+\S{1,80}\s+(?:where|join|left|inner|order|group|limit)\b"
        r"|insert\s+into\s+\S{1,80}\s*(?:\(|values|select)|update\s+\S{1,80}\s+set\s+\S{1,80}\s*="
        r"|delete\s+from\s+\S{1,80}\s+where\b))"
    ),
)


#: What a statement begins with, and what each has further on; none stands in what is no statement and no English.
_STATEMENTS = (
    ("select", "from"), ("insert", "into"), ("replace", "into"), ("merge", "into"), ("update", "set"),
    ("delete", "from"), ("values", "("), ("where", ""), ("call", "("), ("exec", ""),
)  # fmt: skip
#: Those that count in small letters, too.
_QUIET = ("select", "insert", "update", "delete")
_DETAILS = ("DET", "CONTE", "KONTEXT", "SZCZEG", "ПОДРОБ")
_LINES = ("LINE", "ZEILE", "LIGNE", "LÍNEA", "RIGA", "LINHA", "RAD ", "СТРОКА")
_OPENINGS = (
    "entry", "ncorrect", "Truncated", "invalid input", "out of range", "malformed", "converting", "token:", "near",
)  # fmt: skip


def without_held_values(text: str) -> str:
    """The message of a database or a validator without the values in it; a statement without its literals."""
    if "[SQL: " in text:
        text = _patterns.sql.sub(lambda found: found.group(1) + statement(found.group(2)), text)
    if "[parameters: " in text:
        text = _patterns.parameters.sub(rf"\1{SCRUBBED}", text)
    if ")=(" in text:
        text = _patterns.key.sub(_to_last_bracket, text)
    if "Failing row" in text:
        text = _patterns.row.sub(_to_last_bracket, text)
    if ": " in text:
        if any(map(text.__contains__, _DETAILS)):
            text = _patterns.detail.sub(_detail, text)
        if any(map(text.__contains__, _LINES)):
            text = _patterns.line.sub(_line, text)
    if "input_value=" in text or "On instance" in text or "duplicate key" in text:
        text = _patterns.tail.sub(lambda found: (found.group(1) or found.group(2)) + SCRUBBED, text)
    if "'" in text or '"' in text or "“" in text or "«" in text:
        if any(map(text.__contains__, _OPENINGS)):
            text = with_replaced(text, _quoted_after(text, _patterns.introduced), SCRUBBED)
        if "(1" in text:
            text = with_replaced(text, _quoted_after(text, _patterns.numbered), SCRUBBED)
    start = _statement_in(text)
    return text if start < 0 else _with_statement(text, start)


def _statement_in(text: str) -> int:
    """Where the first SQL statement begins, -1 where there is none."""
    lowered = text.lower()
    first = -1
    for word, further in _STATEMENTS:
        at = lowered.find(word)
        if at < 0 or further not in lowered:
            continue
        if len(lowered) != len(text):  # a letter that has no single small one: places are not the same
            found = _patterns.statement.search(text)
            return found.start() if found is not None else -1
        loud = word.upper() if word not in _QUIET else ""
        while at >= 0 and (at < first or first < 0):
            if text.startswith(loud, at) and _patterns.statement.match(text, at) is not None:
                first = at
            at = lowered.find(word, at + 1)
    return first


def _to_last_bracket(found: re.Match[str]) -> str:
    """From the first bracket to the last, for values hold brackets too."""
    lead, piece = found.groups()
    last = piece.rfind(")")
    return str(lead) + SCRUBBED + (piece[last:] if last >= 0 else "")


def _detail(found: re.Match[str]) -> str:
    """PostgreSQL's second paragraph: whatever is in quotes, in brackets or behind a colon."""
    lead, piece = found.groups()
    if f"({SCRUBBED}" in piece:
        return found.group()
    piece = _patterns.held.sub(lambda each: (each.group(1) or "") + SCRUBBED + (each.group(2) or ""), piece)
    return str(lead) + (piece if lead[0] in "CK" else _patterns.bracket.sub(f"({SCRUBBED})", piece))


def _line(found: re.Match[str]) -> str:
    """A statement's line as PostgreSQL shows it, cut at both ends where it is long."""
    lead, line = found.groups()
    whole = "..." not in line and line.count("'") % 2 == 0 and line.count('"') % 2 == 0
    return str(lead) + (without_values(line) if whole else SCRUBBED)


#: What follows the value in some of these messages: there it ends, whatever is in it.
_BEHIND = (" for key", " at line ", " for column", " to data type", ": syntax error")


def _quoted_after(text: str, pattern: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """The places of the values, without the quotes around them."""
    done = 0
    for found in pattern.finditer(text):
        start = found.start(2)
        if start < done:
            continue
        quote = found.group(2)
        ends = [text.find(quote + each, found.end(), found.end() + 2_000) for each in _BEHIND]
        ends = [each for each in ends if each >= 0]
        end = min(ends) + len(quote) if ends else quoted_end(text, start)
        if _patterns.keyword.fullmatch(text, found.end(), max(found.end(), end - len(quote))) is not None:
            continue  # `syntax error at or near "FROM"`
        closed = text.startswith(quote, end - len(quote)) and end - len(quote) > start
        done = end - len(quote) if closed else end
        yield start + len(quote), done


def _with_statement(text: str, start: int) -> str:
    ends = (text.find(part, start) for part in ("]\n", "\n[parameters", "\n(Background", "\n\n"))
    end = min((each for each in ends if each >= 0), default=len(text))
    while end > start and text[end - 1] in "'\")]}\\ " and text.count(text[end - 1], start, end) % 2:
        end -= 1
    return text[:start] + statement(text[start:end]) + text[end:]


def statement(sql: str) -> str:
    return without_values(sql, comments=False)
