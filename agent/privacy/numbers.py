"""Numbers that are private by their form: cards, IBANs and phone numbers, found by their check digits and lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .patterns import UUID, Patterns
from .quoting import with_replaced

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

_ASCII_BLANK = " \t.\\-"
_BLANK = _ASCII_BLANK + "\u00a0\u2002-\u200a\u202f\u2010-\u2015"


_DIGITS = "0123456789"
_FEWEST_DIGITS = 8  # as `digits` has it
_GAP = r"(?:[{}()/,+_\n]|%20){{0,3}}"
_PLUS = r"(?:(?<![0-9+])\+|%2[bB]|\uff0b|\\u002[bB]|&#43;)[ ]?\(?"
_ZEROS = r"(?<![0-9A-Za-z+-])(?<![0-9][.,])(?:00(?=[1-9(])|(?<!:)00[ ])\(?"
_patterns = Patterns(
    digits=rf"[0-9](?:{_GAP.format(_BLANK)}[0-9]){{7}}",
    ascii_digits=rf"[0-9](?:{_GAP.format(_ASCII_BLANK)}[0-9]){{7}}",  # is made in a third of the time
    groups=rf"[0-9]+(?:(?:[{_BLANK}_/,+\n]{{1,2}}|%20)[0-9]+)*",
    parts=r"%20|[0-9]+",
    track=r"\[card\](?:\^[^\^\n]{2,40}\^[0-9?]{0,80}|=[0-9]{4,40}\??)",
    iban=r"[A-Za-z]{2}[0-9]{2}(?=(?:[ \-.\u00a0\u202f\u2009\t_/+]|%20)?[A-Za-z0-9])",
    uuid=UUID,
    international=rf"({_PLUS}|{_ZEROS})([1-9](?:(?:[{_BLANK}()/]|%20){{0,3}}[0-9]){{8,14}})(?![0-9])",
)


def without_numbers(text: str) -> str:
    """The text with [card], [iban] and [phone] in the place of what looks like one."""
    if sum(map(text.count, _DIGITS)) < _FEWEST_DIGITS:
        return text
    if (_patterns.ascii_digits if text.isascii() else _patterns.digits).search(text) is None:
        return text
    text = with_replaced(text, _ibans(text), "[iban]")
    text = _patterns.groups.sub(_without_cards, text)
    if "[card]" in text:
        text = _patterns.track.sub("[card]", text)
    return _patterns.international.sub(_phone, text)


#: Length → the countries whose IBANs have it. Without them every thousandth id in hexadecimal digits would be one.
_IBANS = {
    15: "NO", 16: "BE", 18: "DK FI FK FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK", 21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL", 24: "AD CZ MD PK RO SA SE SK TN VG ES",
    25: "AO CV GW LY MZ PT ST", 26: "DZ IR IS TR", 27: "BI CF CG CM DJ FR GA GQ GR IT KM MC MR SM TD",
    28: "AL AZ BF BJ BY CI CY DO GT HN HU LB MA ML NE NI PL SN SV TG", 29: "BR EG PS QA UA", 30: "JO KW MU YE",
    31: "MT SC", 32: "LC", 33: "RU",
}  # fmt: skip
_IBAN_LENGTHS = {country: length for length, countries in _IBANS.items() for country in countries.split()}


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    position = 0
    while True:
        found = _patterns.iban.search(text, position)
        if found is None:
            return
        position = found.end()
        end = _iban_end(text, found.start()) if _is_separate(text, found.start()) else 0
        if end:
            yield found.start(), end
            position = end


def _is_separate(text: str, at: int) -> bool:
    """Nothing is glued to the front, but for the word IBAN, an encoded character or an escape."""
    before = text[max(0, at - 4) : at]
    glued = before[-1:].isalnum() and before[-1:].isascii()
    return not glued or before.upper() == "IBAN" or before[-3:-2] == "%" or before[-2:] in ("\\n", "\\t", "\\r")


def _iban_end(text: str, start: int) -> int:
    """Where the IBAN that starts here ends, 0 if there is none: as long as its country's are, and 1 modulo 97."""
    length = _IBAN_LENGTHS.get(text[start : start + 2].upper(), 0)
    head = _base36(text[start : start + 4].upper())
    tail = ""
    at, size = start + 4, 4
    while at < len(text) and size < length:
        each = text[at]
        if not (each.isascii() and each.isalnum()):
            at += 3 if text.startswith("%20", at) else 1
            if (each not in " -._/+\t\u00a0\u2009\u202f" and each != "%") or not text[at : at + 1].isalnum():
                break
            continue
        tail += each.upper()
        size += 1
        at += 1
    if size < length or not length or (at < len(text) and text[at].isascii() and text[at].isalnum()):
        return 0
    return at if int(_base36(tail) + head) % 97 == 1 else 0


def _base36(value: str) -> str:
    return "".join(str(int(each, 36)) for each in value)


SHORTEST_CARD, LONGEST_CARD = 13, 19
_DATE_DIGITS = (4, 2, 2)
#: How many groups of digits may make a card: any few, or many that are alike.
_FEW_GROUPS, _MOST_GROUPS = 6, LONGEST_CARD
_USUAL = (14, 15, 16, 19)
#: Between groups of these alone a dot, a comma or a line may stand; elsewhere it parts one number from the next.
_SHAPES = frozenset(((4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4)))


def _without_cards(match: re.Match[str]) -> str:
    run = match.group()
    return run if len(run) < SHORTEST_CARD else with_replaced(run, _cards(run, match), "[card]")


def _cards(run: str, match: re.Match[str]) -> Iterator[tuple[int, int]]:
    """Each card in a run of digits: groups may belong to a neighbour, so every start and end of a group is tried."""
    spans = [each.span() for each in _patterns.parts.finditer(run) if each.group()[0] != "%"]
    done = 0
    for first, (start, _) in enumerate(spans):
        if start >= done:
            end = _card_end(run, spans[first : first + _MOST_GROUPS], match)
            if end:
                yield start, end
                done = end


def _card_end(run: str, spans: list[tuple[int, int]], match: re.Match[str]) -> int:
    """The end of the longest card that begins with the first group, 0 where none does."""
    if run.startswith(_NO_CARD, spans[0][0]):
        return 0
    digits, end = "", 0
    sizes: list[int] = []
    strange = False
    for number, (begin, stop) in enumerate(spans):
        if number and not strange:
            between = run[spans[number - 1][1] : begin]
            strange = not _ORDINARY.issuperset(between) or between != run[spans[0][1] : spans[1][0]]
        digits += run[begin:stop]
        sizes.append(stop - begin)
        if len(digits) > LONGEST_CARD or (number >= _FEW_GROUPS and max(sizes) > 3):
            break
        if number >= _FEW_GROUPS and len(digits) not in _USUAL:
            continue
        if not is_card(digits) or _holds_date(sizes, digits) or (strange and tuple(sizes) not in _SHAPES):
            continue
        first, last = match.start() + spans[0][0], match.start() + stop
        if not _part_of_an_id(match.string, first, last, digits):
            end = stop
    return end


_ORDINARY = frozenset(" -\u00a0\u2009\u202f\u2010\u2011\u2012\u2013\u2014")


def _part_of_an_id(text: str, first: int, last: int, digits: str) -> bool:
    """Letters are glued to it, and it is not as long as the cards that begin like it; or it lies in an id."""
    if any(
        each.start() < last - max(0, first - 40)
        for each in _patterns.uuid.finditer(text[max(0, first - 40) : last + 40])
    ):
        return True
    start, end = first, last
    while start and text[start - 1].isascii() and text[start - 1].isalnum():
        start -= 1
    while end < len(text) and text[end].isascii() and text[end].isalnum():
        end += 1
    if (start, end) == (first, last):
        return False
    if end - start >= _SHORTEST_HASH and not text[start:end].upper().strip("0123456789ABCDEF"):
        return True
    return len(digits) not in _LENGTHS.get(digits[0], ()) or (digits[0] == "3" and digits[1] not in "04678")


_SHORTEST_HASH = 24
_LENGTHS = {"2": (16,), "3": (14, 15, 16), "4": (13, 16, 19), "5": (16,), "6": (16, 17, 18, 19)}


def _phone(match: re.Match[str]) -> str:
    lead, number = match.groups()
    digits = sum(each.isdigit() for each in number) - 2 * number.count("%20")
    after = match.string[match.end() : match.end() + 4]
    if "+" in lead or "00" not in lead:
        whole, _, cents = number.partition(".")
        is_amount = whole.isdigit() and cents.isdigit() and len(cents) <= 2
        is_amount = is_amount or (number.isdigit() and digits < 10 and after[:1] in (".", ",") and after[1:2].isdigit())
        return match.group() if is_amount else "[phone]"
    # Numbers that are filled up with zeros have ten digits, or many more of them.
    size = digits == 11 if number[0] == "1" else (10 if number.isdigit() else 9) <= digits <= 13
    dated = _holds_date([len(each) for each in number.replace("-", " ").split()], "".join(filter(str.isdigit, number)))
    return "[phone]" if size and not dated else match.group()


def _holds_date(sizes: list[int], digits: str) -> bool:
    at = 0
    for number, size in enumerate(sizes):
        if tuple(sizes[number : number + 3]) == _DATE_DIGITS and digits[at : at + 2] in ("19", "20"):
            return True
        at += size
    return False


_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
#: Clocks, thread ids, and numbers that begin with the year.
_NO_CARD = ("0", "1", "20", "21")


def is_card(digits: str) -> bool:
    """13 to 19 digits with a right check digit. No card starts with 0 or 1, 20 or 21."""
    if not SHORTEST_CARD <= len(digits) <= LONGEST_CARD or digits.startswith(_NO_CARD):
        return False
    return luhn(digits)


def luhn(digits: str) -> bool:
    """Does the last digit agree with the others, as in card numbers and some national ids?"""
    total = 0
    for place, each in enumerate(reversed(digits)):
        number = ord(each) - 48
        total += _DOUBLED[number] if place & 1 else number
    return total % 10 == 0
