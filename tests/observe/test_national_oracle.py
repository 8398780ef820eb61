"""The check digits of national numbers, held against a library that knows them."""

from __future__ import annotations

import random
from importlib import import_module

import pytest

from agent.observe.national import COUNTRIES

pytest.importorskip("stdnum")

#: Country → the library's module, and the length of a number that is made of digits alone.
RULES = {
    "BR": ("br.cpf", 11),
    "CA": ("ca.sin", 9),
    "NL": ("nl.bsn", 9),
}


@pytest.mark.parametrize("country", RULES)
def test_what_the_library_holds_valid_passes_here(country):
    module, length = RULES[country]
    oracle = import_module(f"stdnum.{module}")
    chance = random.Random(country)
    numbers = [
        "".join(chance.choices("123456789", k=1) + chance.choices("0123456789", k=length - 1)) for _ in range(20000)
    ]
    valid = [each for each in numbers if oracle.is_valid(each)]
    assert valid
    assert [each for each in valid if not COUNTRIES[country][1](each)] == []


@pytest.mark.parametrize(
    ("country", "module", "digits"),
    [("DE", "iso7064.mod_11_10", 11), ("IN", "verhoeff", 12), ("SE", "luhn", 10), ("CH", "ean", 13)],
)
def test_the_check_digit_is_the_librarys(country, module, digits):
    oracle = import_module(f"stdnum.{module}")
    chance = random.Random(country)
    for _ in range(500):
        start = "560101" if country == "SE" else "756" if country == "CH" else "2"
        number = start + "".join(chance.choices("0123456789", k=digits - len(start)))
        assert COUNTRIES[country][1](number) == oracle.is_valid(number), number


def test_the_letter_of_spain_is_the_librarys():
    oracle = import_module("stdnum.es.dni")
    for number in range(10000000, 10000500):
        for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
            assert COUNTRIES["ES"][1](f"{number}{letter}") == oracle.is_valid(f"{number}{letter}")
