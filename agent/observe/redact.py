"""What looks private, in names and in texts, and what stands in its place.

Two nets, one behind the other. Names: what stands under a key such as `password`, however it is spelt. Forms: e-mail
addresses, cards, IBANs, phone numbers, tokens, keys and `name=value` pairs inside any text. Where the two disagree with
readability, privacy wins.

Every pattern is linear in the text: runs are bounded, and what cannot be bounded is walked by hand. Scrubbing what has
been scrubbed changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..interrupts import ours

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Sequence

    from ..model import ScrubData


#: Sentry's own word for it: what says so is not looked at again by a server.
SCRUBBED = "[Filtered]"

#: No text is longer than this when it leaves.
LONGEST = 8_000

#: How much of a text is looked at beyond where it is cut, so that no half of a secret is left at the end.
_MARGIN = 256


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

#: What the configuration adds: parts of names that are private, and a function that takes further forms out of a text.
_more_parts: tuple[str, ...] = ()
_more_forms: Callable[[str], str] | None = None
_configured: ScrubData | None = None


def configure(said: ScrubData | None) -> None:
    """From now on `sentry.scrub` of the configuration is in force. What was judged before is forgotten."""
    global _configured, _more_parts, _more_forms
    if said is _configured:
        return
    _configured = said
    _more_parts = tuple("".join(_words(name)) for name in said["names"]) if said else ()
    _more_forms = None
    if said and (said["national_ids"] or said["forms"]):
        from .national import compile_forms

        _more_forms = compile_forms(said["national_ids"], said["forms"])
    for forget in forgetful:
        forget()


#: Called by `configure`: whoever remembers what was clean.
forgetful: list[Callable[[], object]] = []


_known_names: dict[str, bool] = {}
MOST_NAMES = 4_000
LONGEST_NAME = 200


def is_secret(name: str) -> bool:
    """Whether what stands under this key is private by its name: snake_case, camelCase, kebab-case, any of them."""
    known = _known_names.get(name)
    if known is None:
        known = _judge(name[:LONGEST_NAME])
        if len(name) <= LONGEST_NAME:
            if len(_known_names) >= MOST_NAMES:
                _known_names.clear()
            _known_names[name] = known
    return known


def _judge(name: str) -> bool:
    words = _words(name)
    joined = "".join(words)
    return (
        any(part in joined for part in _more_parts)
        or not _SECRET_WORDS.isdisjoint(words)
        or joined in _SECRET_ALONE
        or joined.endswith(_SECRET_ENDS)
        or any(part in joined for part in _SECRET_PARTS)
        or ("secret" in joined and "secretar" not in joined)
    )


def _words(name: str) -> list[str]:
    return [word.lower() for word in _compiled().words.findall(name)]


# ---------------------------------------------------------------------------------------------------------- texts


class _Patterns:
    """Compiled on the first text, so that a process with nothing to report never imports `re` for us."""

    __slots__ = (
        "address", "assignment", "bearer", "database", "digits", "groups", "iban", "international", "key", "line_value",
        "local", "query", "rest_of_line", "token", "url", "value", "words",
    )  # fmt: skip

    def __init__(self) -> None:
        import re

        self.words = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+[0-9]?(?![a-z])|[A-Z]?[a-z]+|[^\W_A-Za-z0-9]+")
        self.url = re.compile(r"(://[^\s/@:\"'<>]{0,100}:)[^\s/\"'<>]{1,200}@")
        self.query = re.compile(r"(/[^\s?\"'<>]{0,200}\?)[^\s?\"'<>=]{0,200}=[^\s\"'<>]*")
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
clean_texts: set[str] = set()
forgetful += (_known_names.clear, clean_texts.clear)
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
    scrubbed = _settled(value)
    if len(value) <= _LONGEST_KNOWN and scrubbed == value:
        _characters += len(value)
        if len(clean_texts) >= _MOST_TEXTS or _characters > _MOST_CHARACTERS:
            clean_texts.clear()
            _characters = len(value)
        clean_texts.add(value)
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
        value = encodable(value)
    if "\0" in value:
        value = value.replace("\0", "\ufffd")
    if _more_forms is not None:
        value = _more_forms(value)
    if "PRIVATE KEY" in value:
        value = patterns.key.sub("[key]", value)
    if "://" in value:
        value = patterns.url.sub(r"\1" + SCRUBBED + "@", value)
    if not source and "?" in value and "=" in value and "/" in value:
        value = patterns.query.sub(r"\1" + SCRUBBED, value)  # of addresses, in what HTTP clients raise
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


def number(value: int) -> str | None:
    """What stands in place of a number that is private as a number, None where it may stay."""
    size = abs(value)
    if size >= _SMALLEST_CARD and size < 10**LONGEST_CARD and is_card(str(size)):
        return "[card]"
    if _more_forms is not None and _SMALLEST_ID <= size < 10**LONGEST_CARD:
        told = _more_forms(str(size))
        return told if told != str(size) else None
    return None


def encodable(value: str) -> str:
    try:
        value.encode("utf-8")
    except ours(UnicodeEncodeError):
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


#: Length → the countries whose IBANs have it. Without them every thousandth id in hexadecimal digits would be one.
_IBANS = {
    15: "NO", 16: "BE", 18: "DK FI FK FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK", 21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL", 24: "AD CZ MD PK RO SA SE SK TN VG ES",
    25: "AO CV GW LY MZ PT ST", 26: "DZ IR IS TR", 27: "BI CF CG CM DJ FR GA GQ GR IT KM MC MR SM TD",
    28: "AL AZ BF BJ BY CI CY DO GT HN HU LB MA ML NE NI PL SN SV TG", 29: "BR EG PS QA UA", 30: "JO KW MU YE",
    31: "MT SC", 32: "LC", 33: "RU",
}  # fmt: skip
_IBAN_LENGTHS = {country: length for length, countries in _IBANS.items() for country in countries.split()}


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
    """Where the IBAN that starts here ends, 0 if there is none: as long as its country's are, and 1 modulo 97."""
    length = _IBAN_LENGTHS.get(value[start : start + 2].upper(), 0)
    head = _base36(value[start : start + 4].upper())
    tail = ""
    at, size = start + 4, 4
    while at < len(value) and size < length:
        each = value[at]
        if not (each.isascii() and each.isalnum()):
            if each not in " -" or at + 1 >= len(value) or not (value[at + 1].isascii() and value[at + 1].isalnum()):
                break
            at += 1
            continue
        tail += each.upper()
        size += 1
        at += 1
    if size < length or not length or (at < len(value) and value[at].isascii() and value[at].isalnum()):
        return 0
    return at if int(_base36(tail) + head) % 97 == 1 else 0


def _base36(value: str) -> str:
    return "".join(str(int(each, 36)) for each in value)


SHORTEST_CARD, LONGEST_CARD, _MOST_GROUPS = 13, 19, 6
_SMALLEST_CARD = 10 ** (SHORTEST_CARD - 1)
_SMALLEST_ID = 10**8
_DATE_DIGITS = (4, 2, 2)


def _cards(match: re.Match[str]) -> str:
    """Each card in a run of digits: groups may belong to a neighbour, so every start and end of a group is tried."""
    run = match.group()
    if len(run) < SHORTEST_CARD:
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
            if len(digits) > LONGEST_CARD:
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
    if not SHORTEST_CARD <= len(digits) <= LONGEST_CARD or digits[0] in "01":
        return False
    total = 0
    for place, each in enumerate(reversed(digits)):
        number = ord(each) - 48
        total += _DOUBLED[number] if place & 1 else number
    return total % 10 == 0
