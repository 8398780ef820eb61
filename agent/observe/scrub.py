"""What turns represented JSON into an `Event`: everything that looks private is replaced.

Two nets, one behind the other. Names: what stands under a key such as `password`, however it is spelt and however
deep it lies. Forms: e-mail addresses, cards, IBANs, phone numbers, tokens, keys and `name=value` pairs inside any text,
keys included. Where the two disagree with readability, privacy wins.

Every pattern is linear in the text: runs are bounded, and what cannot be bounded is walked by hand. Scrubbing what has
been scrubbed changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Collection, Sequence

    from ..model import Event, Json

SCRUBBED = "[scrubbed]"

#: No text is longer than this when it leaves.
LONGEST = 8_000

#: How much of a text is looked at beyond where it is cut, so that no half of a secret is left at the end.
_MARGIN = 256

_DEEPEST = 40


class Clean(dict[str, Any]):
    """JSON that was scrubbed when it was made, and is shared between events: never change one."""

    __slots__ = ()


# ---------------------------------------------------------------------------------------------------------- names

_SECRET_WORDS = frozenset((
    "password", "passwords", "passwd", "passwort", "pwd", "passphrase", "passcode", "secret", "secrets", "token",
    "tokens", "authorization", "cookie", "cookies", "csrf", "xsrf", "credential", "credentials", "iban", "ibans",
    "cvv", "cvv2", "cvc", "cvc2", "cvn", "ssn", "pin", "pins", "otp", "totp", "jwt", "bearer", "apikey", "sessionid",
))  # fmt: skip
_SECRET_ALONE = frozenset(("auth", "session", "sid"))
_SECRET_PARTS = (
    "password", "passwd", "passphrase", "apikey", "accesskey", "privatekey", "secretkey", "signingkey",
    "encryptionkey", "masterkey", "authorization", "credential", "cookie", "csrf", "xsrf", "sessionid", "sessionkey",
    "sessiondata", "creditcard", "cardnumber", "cardno", "cardnum", "cardholder", "securitycode", "socialsecurity",
    "bankaccount", "connectionstring", "dbpass", "userpass", "smtppass", "mailpass", "ftppass", "rootpass",
    "adminpass", "ibannumber",
)  # fmt: skip
_SECRET_ENDS = ("token", "tokens", "pwd", "secret", "secrets")

_known_names: dict[str, bool] = {}
_MOST_NAMES = 4_000
_LONGEST_NAME = 200


def is_secret(name: str) -> bool:
    """Whether what stands under this key is private by its name: snake_case, camelCase, kebab-case, any of them."""
    known = _known_names.get(name)
    if known is None:
        known = _judge(name[:_LONGEST_NAME])
        if len(name) <= _LONGEST_NAME:
            if len(_known_names) >= _MOST_NAMES:
                _known_names.clear()
            _known_names[name] = known
    return known


def _judge(name: str) -> bool:
    words = [word.lower() for word in _compiled().words.findall(name)]
    joined = "".join(words)
    return (
        not _SECRET_WORDS.isdisjoint(words)
        or joined in _SECRET_ALONE
        or joined.endswith(_SECRET_ENDS)
        or any(part in joined for part in _SECRET_PARTS)
        or ("secret" in joined and "secretar" not in joined)
    )


# ---------------------------------------------------------------------------------------------------------- texts


class _Patterns:
    """Compiled on the first text, so that a process with nothing to report never imports `re` for us."""

    __slots__ = (
        "address", "assignment", "bearer", "database", "digits", "groups", "iban", "international", "key", "line_value",
        "local", "rest_of_line", "token", "url", "value", "words",
    )  # fmt: skip

    def __init__(self) -> None:
        import re

        self.words = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+[0-9]?(?![a-z])|[A-Z]?[a-z]+|[^\W_A-Za-z0-9]+")
        self.url = re.compile(r"(://[^\s/@:\"'<>]{0,100}:)[^\s/\"'<>]{1,200}@")
        self.key = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY.*?(?:-----END [A-Z ]{0,30}-----|\Z)", re.DOTALL)
        self.bearer = re.compile(
            r"\b(bearer[ \t:]{1,3})[^\s\"',;]{6,}"
            r"|\b(basic[ \t]{1,3})(?-i:(?=[a-z+/]{0,200}[A-Z0-9=]))[a-z0-9+/]{8,}={0,2}",
            re.IGNORECASE,
        )
        self.token = re.compile(
            r"eyJ[\w-]{8,}(?:\.[\w-]*){0,2}"
            r"|[srp]k_(?:live|test)_\w{4,}|whsec_\w{8,}"
            r"|gh[pousr]_[A-Za-z0-9]{10,}|github_pat_\w{10,}|glpat-[\w-]{10,}"
            r"|xox[abeoprs]-[\w-]{6,}|xapp-[\w-]{10,}"
            r"|(?:AKIA|ASIA)[A-Z0-9]{12,}|AIza[\w-]{20,}|ya29\.[\w-]{10,}"
            r"|SG\.[\w-]{10,}(?:\.[\w-]*)?|npm_[A-Za-z0-9]{20,}|pypi-[\w-]{20,}"
            r"|(?<![A-Za-z0-9])sk-[\w-]{16,}"
        )
        self.assignment = re.compile(
            r"(?<![\w-])(?:([\w-]{1,40})[ ])?([\w-]{1,200})[\\\"')\]]{0,4}\s{0,3}(?:=>|:=|==|=|:|%3[dD])\s{0,3}"
        )
        self.value = re.compile(
            r"\[[^\]\n]*\]?|\([^)\n]*\)?|\{[^}\n]*\}?"
            r"|[bBrRuUfF]{0,2}(?:\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?)"
            r"|\\{1,4}[\"'][^\"'\n]*[\"']?|[^\s&]+"
        )
        self.line_value = re.compile(r"[bBrRuUfF]{0,2}(?:\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?)|[0-9]+")
        self.rest_of_line = re.compile(r"[^\n]+")
        # What databases and validators put into their messages: the values themselves.
        self.database = re.compile(
            r"(Failing row contains \()[^\n]+"
            r"|(Key \([^()\n]{1,300}\)=\()[^\n]*?(?=\) (?:already|is |conflicts|exists)|\n|\Z)"
            r"|(Duplicate entry ')[^\n]*?(?=' for key|\n|\Z)"
            r"|(\[parameters: )[^\n]+"
            r"|(input_value=)[^\n]*?(?=, input_type=|\n|\Z)"
        )
        self.address = re.compile(r"(?:@|%40)(?:[^\W_][\w-]{0,62}\.){1,8}(?:[^\W\d_]{2,24}|xn--[\w-]{2,58})(?![^\W_])")
        self.local = re.compile(r"[^\s<>()\[\],;:\"'@/=&?|{}\\]+")
        self.digits = re.compile(r"[0-9](?:[ .\-()/\u00a0]{0,3}[0-9]){7}")
        self.groups = re.compile(r"(?<![0-9A-Za-z])[0-9]+(?:[ \-.\u00a0]{1,2}[0-9]+)*(?![0-9A-Za-z])")
        self.iban = re.compile(r"(?<![0-9A-Za-z])[A-Za-z]{2}[0-9]{2}(?=[ -]?[A-Za-z0-9])")
        self.international = re.compile(
            r"(?<![\w+])\+[1-9](?:[ \-./()\u00a0]{0,3}[0-9]){8,14}(?![0-9]|[.,][0-9])"
            r"|(?<![\w+-])(?<![0-9][.,])00[1-9][0-9]{0,2}(?:[ \-./()\u00a0]{1,3}[0-9]{2,12}){2,5}(?![0-9]|[.,][0-9])"
        )


_patterns: _Patterns | None = None


def _compiled() -> _Patterns:
    global _patterns
    if _patterns is None:
        _patterns = _Patterns()
    return _patterns


#: Texts that were found to hold nothing private. Most texts of events come again and again.
_clean_texts: set[str] = set()
_MOST_TEXTS = 4_000
_LONGEST_KNOWN = 120


def text(value: str) -> str:
    """The text without what looks private, at most `LONGEST` characters and a note, encodable as UTF-8."""
    if value in _clean_texts:
        return value
    if len(value) > LONGEST + 40:  # the note that `clip` appends must not be cut again
        return clip(value, LONGEST)
    scrubbed = _settled(value)
    if len(value) <= _LONGEST_KNOWN and scrubbed == value:
        if len(_clean_texts) >= _MOST_TEXTS:
            _clean_texts.clear()
        _clean_texts.add(value)
    return scrubbed


def clip(value: str, limit: int) -> str:
    """The first `limit` characters, scrubbed, and a note of how many are missing; no half of a secret at the end."""
    length = len(value)
    if length <= limit:
        return text(value)
    seen = _settled(value[: limit + _MARGIN])
    # What the cut at limit + margin may have torn lies in the last characters of what was seen: they go.
    torn = _MARGIN if length > limit + _MARGIN else 0
    kept = seen[: max(0, min(limit, len(seen) - torn))]
    return _whole(kept) + f"… ({length - limit:,} more characters)"


def _whole(value: str) -> str:
    """Without a placeholder that was cut in two."""
    opened = value.rfind("[", -len(SCRUBBED))
    if opened >= 0 and SCRUBBED.startswith(value[opened:]) and not value.endswith("]"):
        return value[:opened]
    return value


def lines(source: Sequence[str], limit: int) -> list[str]:
    """Lines of source code, in order: literals under secret names and forms go, the code stays readable.

    A private key that spans the lines goes whole, also where only its end is among them.
    """
    result = [_line(each.rstrip("\r\n"), limit) for each in source]
    if any("PRIVATE KEY" in each for each in source):
        begins = [number for number, each in enumerate(source) if "BEGIN" in each and "PRIVATE KEY" in each]
        ends = [number for number, each in enumerate(source) if "END" in each and "PRIVATE KEY" in each]
        first = begins[0] if begins and (not ends or begins[0] <= ends[0]) else 0
        last = ends[-1] if ends and (not begins or ends[-1] >= begins[-1]) else len(source) - 1
        result[first : last + 1] = ["[key]"] * (last + 1 - first)
    return result


def _line(value: str, limit: int) -> str:
    if len(value) > limit:
        return clip(value, limit)
    return _scrub(value, source=True)


_MOST_ROUNDS = 5


def _settled(value: str) -> str:
    """Scrubbed until nothing changes: what one pattern leaves behind may be the beginning of what another finds."""
    for _ in range(_MOST_ROUNDS):
        before, value = value, _scrub(value)
        if value == before:
            break
    return value


def _scrub(value: str, *, source: bool = False) -> str:
    patterns = _patterns or _compiled()
    if not value.isascii():
        value = _encodable(value)
    if "\0" in value:
        value = value.replace("\0", "\ufffd")
    if "PRIVATE KEY" in value:
        value = patterns.key.sub("[key]", value)
    if "://" in value:
        value = patterns.url.sub(r"\1" + SCRUBBED + "@", value)
    value = patterns.token.sub("[token]", value)
    if " " in value or "\t" in value or ":" in value:
        value = patterns.bearer.sub(_keep_lead, value)
    if "=" in value or ":" in value or "%3" in value:
        value = _assignments(value, patterns, patterns.line_value if source else patterns.value)
    if not source and ("(" in value or "'" in value or "[" in value or "input_value" in value):
        value = patterns.database.sub(_keep_start, value)
    if "@" in value or "%40" in value:
        value = _addresses(value, patterns)
    if patterns.digits.search(value) is not None:
        value = _ibans(value, patterns)
        value = patterns.groups.sub(_cards, value)
        if "+" in value or "00" in value:
            value = patterns.international.sub(_phone, value)
    return value


def _encodable(value: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value


def _keep_lead(match: re.Match[str]) -> str:
    return (match.group(1) or match.group(2)) + "[token]"


def _keep_start(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group is not None) + SCRUBBED


_PLACED = frozenset(("token", "iban"))
_COMPOUNDS = frozenset(
    ("api key", "private key", "access key", "secret key", "card number", "session id", "session key", "card no",
     "security code", "credit card", "pin code")
)  # fmt: skip


def _assignments(value: str, patterns: _Patterns, form: re.Pattern[str]) -> str:
    """`password=…`, `token: …`, `'api_key': …`: the name decides, as it does for keys."""
    pieces: list[str] = []
    done = position = 0
    search = patterns.assignment.search
    while True:
        found = search(value, position)
        if found is None:
            break
        position = found.end()
        before, name = found.group(1), found.group(2)
        if not is_secret(name) and not (before and f"{before} {name}".lower() in _COMPOUNDS):
            continue
        at = found.start(2)
        if name in _PLACED and value[at - 1 : at] == "[" and value[found.end(2)] == "]":
            continue  # one of our own placeholders
        lowered = name.lower()
        header = "cookie" in lowered or "authorization" in lowered
        held = form.match(value, position)
        if header and form is patterns.value and (held is None or value[position] not in "\"'[({\\"):
            held = patterns.rest_of_line.match(value, position)
        if held is None or not held.group():
            continue
        pieces += (value[done:position], SCRUBBED)
        done = position = held.end()
    if not pieces:
        return value
    pieces.append(value[done:])
    return "".join(pieces)


def _addresses(value: str, patterns: _Patterns) -> str:
    """E-mail addresses: found by their @, then read backwards, which stays linear where a pattern would not."""
    pieces: list[str] = []
    done = 0
    for found in patterns.address.finditer(value):
        at = found.start()
        local = patterns.local.match(value[max(done, at - 80) : at][::-1])
        if local is None:
            continue
        pieces += (value[done : at - local.end()], "[email]")
        done = found.end()
    if not pieces:
        return value
    pieces.append(value[done:])
    return "".join(pieces)


_SHORTEST_IBAN, _LONGEST_IBAN = 15, 34


def _ibans(value: str, patterns: _Patterns) -> str:
    pieces: list[str] = []
    done = position = 0
    while True:
        found = patterns.iban.search(value, position)
        if found is None:
            break
        position = found.end()
        end = _iban_end(value, found.start())
        if end:
            pieces += (value[done : found.start()], "[iban]")
            done = position = end
    if not pieces:
        return value
    pieces.append(value[done:])
    return "".join(pieces)


def _iban_end(value: str, start: int) -> int:
    """Where the IBAN that starts here ends, 0 if there is none: modulo 97 at each place where a group ends."""
    head = _base36(value[start : start + 4].upper())
    tail = ""
    at, size, best = start + 4, 4, 0
    while at < len(value) and size < _LONGEST_IBAN:
        each = value[at]
        if not (each.isascii() and each.isalnum()):
            if each not in " -" or at + 1 >= len(value) or not (value[at + 1].isascii() and value[at + 1].isalnum()):
                break
            at += 1
            continue
        tail += each.upper()
        size += 1
        at += 1
        ends = at >= len(value) or not (value[at].isascii() and value[at].isalnum())
        if ends and size >= _SHORTEST_IBAN and int(_base36(tail) + head) % 97 == 1:
            best = at
    return best


def _base36(value: str) -> str:
    return "".join(str(int(each, 36)) for each in value)


_SHORTEST_CARD, _LONGEST_CARD, _MOST_GROUPS = 13, 19, 6
_DATE_DIGITS = (4, 2, 2)


def _cards(match: re.Match[str]) -> str:
    """Each card in a run of digits: groups may belong to a neighbour, so every start and end of a group is tried."""
    run = match.group()
    if len(run) < _SHORTEST_CARD:
        return run
    spans: list[tuple[int, int]] = []
    start = -1
    for at, each in enumerate(run + " "):
        if "0" <= each <= "9":
            if start < 0:
                start = at
        elif start >= 0:
            spans.append((start, at))
            start = -1
    pieces: list[str] = []
    done = first = 0
    while first < len(spans):
        digits, end = "", 0
        sizes: list[int] = []
        for begin, stop in spans[first : first + _MOST_GROUPS]:
            digits += run[begin:stop]
            sizes.append(stop - begin)
            if len(digits) > _LONGEST_CARD:
                break
            if is_card(digits) and not _holds_date(sizes, digits):
                end = stop
        if end:
            pieces += (run[done : spans[first][0]], "[card]")
            done = end
            while first < len(spans) and spans[first][0] < end:
                first += 1
        else:
            first += 1
    pieces.append(run[done:])
    return "".join(pieces)


def _phone(match: re.Match[str]) -> str:
    number = match.group()
    whole, _, cents = number[1:].partition(".")
    return number if whole.isdigit() and cents.isdigit() and len(cents) <= 2 else "[phone]"


def _holds_date(sizes: list[int], digits: str) -> bool:
    at = 0
    for number, size in enumerate(sizes):
        if tuple(sizes[number : number + 3]) == _DATE_DIGITS and digits[at : at + 2] in ("19", "20"):
            return True
        at += size
    return False


_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def is_card(digits: str) -> bool:
    """13 to 19 digits with a right check digit. No card starts with 0 or 1; clocks and thread ids do."""
    if not _SHORTEST_CARD <= len(digits) <= _LONGEST_CARD or digits[0] in "01":
        return False
    total = 0
    for place, each in enumerate(reversed(digits)):
        number = ord(each) - 48
        total += _DOUBLED[number] if place & 1 else number
    return total % 10 == 0


# --------------------------------------------------------------------------------------------------------- events

_HEXADECIMAL = frozenset("0123456789abcdef-")
_FROZEN = frozenset(("event_id", "contexts.trace.trace_id", "contexts.trace.span_id", "contexts.trace.parent_span_id"))
_FROZEN_PARENTS = frozenset(("", "contexts.trace", "contexts.erp", "tags", "user"))
_SMALLEST_CARD = 10 ** (_SHORTEST_CARD - 1)


def scrub(payload: dict[str, Json], *, keep: Collection[str] = ()) -> Event:
    """The only way from JSON to an `Event`.

    `payload` must be represented: exact JSON types only, anything else is a TypeError. `keep` names places such as
    `user.email` whose text somebody configured to leave as it is. Event and trace ids are left alone where they are
    hexadecimal, and so are instances of `Clean`.
    """
    return cast("Event", _mapping(payload, "", keep, 0))


def scrub_json(value: Json) -> Json:
    """Any represented value, scrubbed as a part of an event would be."""
    return _value(value, None, (), 0)


def _value(value: Json, path: str | None, keep: Collection[str], depth: int) -> Json:
    kind: Callable[..., object] = type(value)
    if kind is str:
        return text(cast("str", value))
    if value is None or kind is bool:
        return value
    if kind is int:
        number = abs(cast("int", value))
        return "[card]" if number >= _SMALLEST_CARD and number < 10**_LONGEST_CARD and is_card(str(number)) else value
    if kind is float:
        number_ = cast("float", value)
        return value if number_ - number_ == 0 else str(number_)
    if kind is Clean:
        return value
    if depth > _DEEPEST:
        return "[too deep]"
    if kind is dict:
        return _mapping(cast("dict[str, Json]", value), path, keep, depth)
    if kind is list:
        return _sequence(cast("list[Json]", value), keep, depth)
    raise TypeError(f"only represented JSON can be scrubbed, not {kind}")


_NAMING = frozenset(("name", "key", "field"))

#: Key → the key without what looks private, and whether what stands under it is private by its name.
_known_keys: dict[str, tuple[str, bool]] = {}


def _key(key: object) -> tuple[str, bool]:
    if type(key) is not str:
        raise TypeError(f"only represented JSON can be scrubbed, not a key of {type(key)}")
    clean = text(key)
    known = (clean, is_secret(key) or is_secret(clean))
    if len(key) <= _LONGEST_NAME:
        if len(_known_keys) >= _MOST_NAMES:
            _known_keys.clear()
        _known_keys[key] = known
    return known


def _mapping(value: dict[str, Json], path: str | None, keep: Collection[str], depth: int) -> dict[str, Json]:
    if type(value) is not dict:
        raise TypeError(f"only represented JSON can be scrubbed, not {type(value)}")
    watched = path is not None and path in _FROZEN_PARENTS
    result: dict[str, Json] = {}
    named: str | None = None
    for key, item in value.items():
        known = _known_keys.get(key)
        if known is None:
            known = _key(key)
        clean, secret = known
        kind = type(item)
        if not (watched or secret) and kind is str and item in _clean_texts and clean not in result:
            result[clean] = item  # what nearly every text of an event is: seen before, and clean
            if key in _NAMING and is_secret(item):
                named = item
            continue
        place = None
        if path is not None and depth < 3 and (watched or kind is dict):
            place = f"{path}.{key}" if path else key
            if watched and type(item) is str:
                if place in keep:
                    result[key] = _encodable(item[:200])
                    continue
                if place in _FROZEN and len(item) <= 36 and _HEXADECIMAL.issuperset(item):
                    result[key] = item
                    continue
        while clean in result:
            clean += "'"
        if secret and not (item is None or kind is bool):
            result[clean] = SCRUBBED
            continue
        if key in _NAMING and type(item) is str and is_secret(item):
            named = item
        result[clean] = _value(item, place, keep, depth + 1)
    if named is not None and result.get("value") is not None:
        result["value"] = SCRUBBED  # {"name": "password", "value": …}, as headers and form fields are often kept
    return result


def _sequence(value: list[Json], keep: Collection[str], depth: int) -> list[Json]:
    if len(value) == 2:
        name, held = value
        if type(name) is str and is_secret(name) and not (held is None or type(held) is bool):
            return [text(name), SCRUBBED]
    return [_value(item, None, keep, depth + 1) for item in value]
