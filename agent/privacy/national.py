"""Numbers that states and tax offices give to people, by country, and forms of a company's own.

None of this is looked for unless it is configured: a number of eleven digits is more often an order's than a
person's. A country's numbers are recognised by their check digits or dates, where they have any.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .numbers import luhn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PLACEHOLDER = "[id]"


def compile_forms(countries: Iterable[str], forms: Mapping[str, str]) -> Callable[[str], str]:
    """Return a function that returns a text without the numbers of these countries and without these forms.

    `countries`: keys of `COUNTRIES`. `forms`: name → a form in which 0 stands for any digit, A for any letter, and
    everything else for itself; what is found becomes `[name]`.
    """
    steps: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = []
    for name, form in forms.items():
        steps.append((re.compile(bounded(_spelt(form))), _named(name)))
    for country in countries:
        for pattern, check in (COUNTRIES[country], *_UNSEPARATED.get(country, ())):
            steps.append((re.compile(bounded(pattern)), _checked(check)))

    def without(value: str) -> str:
        for pattern, replace in steps:
            value = pattern.sub(replace, value)
        return value

    return without


def bounded(pattern: str) -> str:
    return rf"(?<![0-9A-Za-z])(?:{pattern})(?![0-9A-Za-z])"


def _spelt(form: str) -> str:
    return "".join({"0": "[0-9]", "A": "[A-Za-z]"}.get(each) or re.escape(each) for each in form)


def _named(name: str) -> Callable[[re.Match[str]], str]:
    return lambda _: f"[{name}]"


def _checked(check: Callable[[str], bool]) -> Callable[[re.Match[str]], str]:
    def replace(found: re.Match[str]) -> str:
        number = re.sub(r"[^0-9A-Za-z]", "", found.group()).upper()
        return PLACEHOLDER if check(number) else found.group()

    return replace


def _weighted(number: str, weights: Iterable[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(number, weights))


def _date(number: str) -> bool:
    """Six digits that are a day and a month, whichever comes first, with the year."""
    first, middle, last = int(number[:2]), int(number[2:4]), int(number[4:6])
    return 1 <= middle <= 12 and (1 <= first % 40 <= 31 or 1 <= last % 60 <= 31)


def _sweden(number: str) -> bool:
    number = number[-10:]
    return 1 <= int(number[2:4]) <= 12 and 1 <= int(number[4:6]) % 60 <= 31 and luhn(number)


def _norway(number: str) -> bool:
    first = _weighted(number, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11
    second = _weighted(number, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11
    return first == 0 and second == 0


def _finland(number: str) -> bool:
    digits = re.sub(r"[^0-9]", "", number[:-1])
    return _date(digits) and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(digits) % 31] == number[-1]


def _denmark(number: str) -> bool:
    return _date(number) and _weighted(number, (4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0


def _germany(number: str) -> bool:
    product = 10
    for digit in number[:10]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(number[10])


def _austria(number: str) -> bool:
    """Of a month that has run out of numbers the next ones are written as the months 13 to 15."""
    born = int(number[6:8]) <= 15 and 1 <= int(number[4:6]) <= 31
    return born and _weighted(number, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6)) % 11 == int(number[3])


def _switzerland(number: str) -> bool:
    return _weighted(number, (1, 3) * 6 + (1,)) % 10 == 0


def _france(number: str) -> bool:
    plain = number[:13].replace("2A", "19").replace("2B", "18")
    return 97 - int(plain) % 97 == int(number[13:])


def _spain(number: str) -> bool:
    plain = number[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(plain) % 23] == number[-1]


_ODD_IN_ITALY = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)


def _italy(number: str) -> bool:
    places = [int(each, 36) - 10 if each.isalpha() else int(each) for each in number]
    total = sum(_ODD_IN_ITALY[each] for each in places[:15:2]) + sum(places[1:15:2])
    return total % 26 == places[15]


def _netherlands(number: str) -> bool:
    return int(number) > 0 and _weighted(number, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def _belgium(number: str) -> bool:
    """Of those born since 2000 a 2 in front counts as well."""
    centuries = ("", "2") if number[0] < "5" else ("",)
    return any(97 - int(century + number[:9]) % 97 == int(number[9:]) for century in centuries)


def _poland(number: str) -> bool:
    return _weighted(number, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def _brazil(number: str) -> bool:
    first = _weighted(number, range(10, 1, -1)) * 10 % 11 % 10
    second = _weighted(number, range(11, 1, -1)) * 10 % 11 % 10
    return number != number[0] * 11 and number[9:] == f"{first}{second}"


def _china(number: str) -> bool:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[_weighted(number, weights) % 11] == number[17]


#: Verhoeff's tables, as the dihedral group of ten makes them.
_TURNED = tuple(tuple((x + y) % 5 if x < 5 and y < 5 else (x - y) % 5 if x >= 5 and y >= 5 else
                      5 + ((x + y) % 5 if x < 5 else (x - y) % 5) for y in range(10)) for x in range(10))  # fmt: skip
_MOVED = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def _india(number: str) -> bool:
    check = 0
    for place, digit in enumerate(reversed(number)):
        moved = int(digit)
        for _ in range(place % 8):
            moved = _MOVED[moved]
        check = _TURNED[check][moved]
    return check == 0


def _yes(_: str) -> bool:
    return True


#: In Italy a letter replaces a digit where two people would have the same number.
_ITALIAN = "[0-9LMNP-V]"

#: Country → what its numbers look like, and their check; that gets the number in capitals without its separators.
COUNTRIES: dict[str, tuple[str, Callable[[str], bool]]] = {
    "AT": (r"[0-9]{4}[ -]?[0-9]{6}", _austria),
    "BE": (r"[0-9]{2}[ .]?[0-9]{2}[ .]?[0-9]{2}[ -]?[0-9]{3}[ .-]?[0-9]{2}", _belgium),
    "BR": (r"[0-9]{3}[ .]?[0-9]{3}[ .]?[0-9]{3}[ -]?[0-9]{2}", _brazil),
    "CA": (r"[0-9]{3}([ -]?)[0-9]{3}\1[0-9]{3}", luhn),
    "CH": (r"756[ .]?[0-9]{4}[ .]?[0-9]{4}[ .]?[0-9]{2}", _switzerland),
    "CN": (r"[1-9][0-9]{5} ?(?:19|20)[0-9]{6} ?[0-9]{3}[0-9Xx]", _china),
    "DE": (r"[1-9][0-9](?: ?[0-9]{3}){3}", _germany),
    "DK": (r"[0-9]{6}[ -][0-9]{4}", _date),
    "ES": (r"(?:[XYZxyz][ -]?[0-9]|[0-9]{2})[.]?[0-9]{3}[.]?[0-9]{3}[ -]?[A-Za-z]", _spain),
    "FI": (r"[0-9]{6}[-+ABCDEFUVWXYabcdefuvwxy][0-9]{3}[0-9A-Ya-y]", _finland),
    "FR": (
        r"[123478][ .]?[0-9]{2}[ .]?(?:[02-9][0-9]|1[0-2])[ .]?(?:[0-9]{2}|2[ABab])(?:[ .]?[0-9]{3}){2}[ .]?[0-9]{2}",
        _france,
    ),
    "GB": (r"[A-CEGHJ-PR-TW-Za-ceghj-pr-tw-z]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-Da-d]", _yes),
    "IN": (r"[2-9][0-9]{3}([ -]?)[0-9]{4}\1[0-9]{4}", _india),
    "IT": (
        rf"(?ai:(?:[A-Z]{{3}} ?){{2}}{_ITALIAN}{{2}}[A-EHLMPR-T]{_ITALIAN}{{2}} ?[A-Z]{_ITALIAN}{{3}} ?[A-Z])",
        _italy,
    ),
    "NL": (r"[0-9]{9}|[0-9]{4}([ .])[0-9]{2}\1[0-9]{3}|[0-9]{3}([ .])[0-9]{3}\2[0-9]{3}", _netherlands),
    "NO": (r"[0-9]{6}[ -]?[0-9]{5}", _norway),
    "PL": (r"[0-9]{11}", _poland),
    "SE": (r"(?:19|20)?[0-9]{6}[-+ ]?[0-9]{4}", _sweden),
    "US": (r"(?!000|666|9)[0-9]{3}([ -])(?!00)[0-9]{2}\1(?!0000)[0-9]{4}", _yes),
}

#: Without a separator the check digit has to hold as well; Danish numbers given since 2007 need not have one.
_UNSEPARATED: dict[str, tuple[tuple[str, Callable[[str], bool]], ...]] = {"DK": ((r"[0-9]{10}", _denmark),)}
