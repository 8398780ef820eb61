"""National ids held against python-stdnum: numbers that it holds valid go, and the same with other check digits stay."""

from __future__ import annotations

import random
from importlib import import_module
from itertools import product

import pytest

from agent.privacy.national import COUNTRIES, compile_forms

pytest.importorskip("stdnum")

DIGITS = "0123456789"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
OMOCODES = str.maketrans(DIGITS, "LMNPQRSTUV")  # what Italy writes in place of digits where two people share a code
BODIES = 60


def digits(chance, number):
    return "".join(chance.choices(DIGITS, k=number))


def born(chance):
    return f"{chance.randint(1, 28):02}", f"{chance.randint(1, 12):02}", f"{chance.randint(0, 99):02}"


def austria(chance):
    day, month, year = born(chance)
    return str(chance.randint(1, 9)) + digits(chance, 2) + "?" + day + chance.choice((month, "13", "14", "15")) + year


def belgium(chance):
    day, month, _ = born(chance)
    year = chance.choice((chance.randint(0, 25), chance.randint(50, 99)))
    return f"{year:02}" + month + day + digits(chance, 3) + "??"


def china(chance):
    day, month, year = born(chance)
    return "110105" + "19" + year + month + day + digits(chance, 3) + "?"


def denmark(chance):
    return "".join(born(chance)) + digits(chance, 4)


def finland(chance):
    return "".join(born(chance)) + chance.choice("-YXWVU") + f"{chance.randint(2, 899):03}" + "?"


def france(chance):
    _, month, year = born(chance)
    month = chance.choice((month, "20", "42", "50", "99"))
    sex, place = chance.choice("123478"), chance.choice(("75", "2A", "2B", "97"))
    return sex + year + month + place + digits(chance, 6) + "??"


def italy(chance):
    day, _, year = born(chance)
    month, place = chance.choice("ABCDEHLMPRST"), digits(chance, 3)
    day = str(int(day) + chance.choice((0, 40))).zfill(2)
    body = [*chance.choices(LETTERS, k=6), *year, month, *day, chance.choice(LETTERS), *place]
    for at in chance.sample((6, 7, 9, 10, 12, 13, 14), chance.choice((0, 0, 1, 7))):
        body[at] = body[at].translate(OMOCODES)
    return "".join(body) + "?"


def norway(chance):
    day, month, year = born(chance)
    day = str(int(day) + chance.choice((0, 40))).zfill(2)
    return day + month + year + f"{chance.randint(0, 499):03}" + "??"


def poland(chance):
    day, month, year = born(chance)
    return year + str(int(month) + chance.choice((0, 80))).zfill(2) + day + digits(chance, 4) + "?"


def sweden(chance):
    day, month, year = born(chance)
    return year + month + day + "-" + digits(chance, 3) + "?"


def plain(start, length):
    return lambda chance: start + digits(chance, length - len(start) - 1) + "?"


def nonzero(length):
    return lambda chance: str(chance.randint(2, 9)) + digits(chance, length - 2) + "?"


#: Country → the library's module, and what makes a number with ? in the place of its check digits.
RULES = {
    "AT": ("at.vnr", austria),
    "BE": ("be.nn", belgium),
    "BR": ("br.cpf", lambda chance: digits(chance, 9) + "??"),
    "CA": ("ca.sin", plain("5", 9)),
    "CH": ("ch.ssn", plain("756", 13)),
    "CN": ("cn.ric", china),
    "DE": ("iso7064.mod_11_10", nonzero(11)),  # `de.idnr` also counts how often a digit comes
    "ES": ("es.dni", lambda chance: digits(chance, 8) + "?"),
    "FI": ("fi.hetu", finland),
    "FR": ("fr.nir", france),
    "IN": ("verhoeff", nonzero(12)),  # `in_.aadhaar` holds palindromes invalid
    "IT": ("it.codicefiscale", italy),
    "NL": ("nl.bsn", nonzero(9)),
    "NO": ("no.fodselsnummer", norway),
    "PL": ("pl.pesel", poland),
    "SE": ("se.personnummer", sweden),
}
CHECKED_BY_LETTERS = {"CN": DIGITS + "X", "ES": LETTERS, "FI": DIGITS + LETTERS, "IT": LETTERS}


def completed(body, signs):
    """The number with each of these signs in the place of its check digits."""
    for each in product(signs, repeat=body.count("?")):
        number = body
        for sign in each:
            number = number.replace("?", sign, 1)
        yield number


@pytest.mark.parametrize("country", RULES)
def test_what_the_library_holds_valid_goes_and_other_check_digits_stay(country):
    module, make = RULES[country]
    oracle = import_module(f"stdnum.{module}")
    chance, without = random.Random(country), compile_forms([country], {})
    valid = 0
    for _ in range(BODIES):
        for number in completed(make(chance), CHECKED_BY_LETTERS.get(country, DIGITS)):
            expected = oracle.is_valid(number)
            valid += expected
            assert (without(f"no {number}, paid") == "no [id], paid") is expected, number
    assert valid >= BODIES / 3


def test_a_danish_number_goes_with_its_separator_and_without_one_where_its_check_digit_holds():
    oracle = import_module("stdnum.dk.cpr")
    chance, without = random.Random("DK"), compile_forms(["DK"], {})
    valid = [each for each in (denmark(chance) for _ in range(2000)) if oracle.is_valid(each)]
    assert valid
    for number in valid:
        assert without(f"{number[:6]}-{number[6:]}") == "[id]", number
        assert (without(number) == "[id]") is (oracle.checksum(number) == 0), number


def test_every_country_with_a_check_digit_is_held_against_the_library():
    assert set(COUNTRIES) - set(RULES) == {"DK", "GB", "US"}
