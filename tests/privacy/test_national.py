"""Identity and tax numbers by country, and a company's own forms: each with numbers that its country gives as examples."""

import pytest

from agent.privacy.national import COUNTRIES, compile_forms

NUMBERS = {
    "AT": ["1237010180", "1237 010180"],
    "BE": ["93051822361", "93.05.18-223.61"],
    "BR": ["529.982.247-25", "52998224725"],
    "CA": ["046 454 286", "046454286"],
    "CH": ["756.9217.0769.85", "7569217076985"],
    "CN": ["11010519491231002X"],
    "DE": ["86095742719", "47 036 892 816"],
    "DK": ["211062-5629"],
    "ES": ["12345678Z", "X1234567L"],
    "FI": ["131052-308T"],
    "FR": ["2 55 08 14 168 025 38", "255081416802538"],
    "GB": ["AB123456C", "AB 12 34 56 C"],
    "IN": ["2341 2341 2346", "234123412346"],
    "IT": ["RSSMRA85T10A562S"],
    "NL": ["111222333"],
    "NO": ["15076500565", "150765 00565"],
    "PL": ["44051401359"],
    "SE": ["811228-9874", "19811228-9874", "198112289874", "811228+9874"],
    "US": ["219-09-9999"],
}
WITHOUT_CHECK_DIGIT = {"DK", "GB", "US"}


@pytest.mark.parametrize("country", sorted(COUNTRIES))
def test_the_numbers_of_a_country_go_and_others_stay(country):
    without = compile_forms([country], {})
    for number in NUMBERS[country]:
        assert without(f"born {number}, of age") == "born [id], of age"
        assert without(f"no{number}") == f"no{number}", "part of a longer word"
        assert without(f"{number}0") == f"{number}0"
        last = max(at for at, each in enumerate(number[:-1]) if each.isdigit())
        other = number[:last] + str((int(number[last]) + 1) % 10) + number[last + 1 :]
        if country not in WITHOUT_CHECK_DIGIT:
            assert without(other) == other, "the check digit tells"


def test_what_no_country_gives_stays():
    without = compile_forms(["SE", "DK", "US", "NL"], {})
    for text in ("order 811328-9874", "321362-5629", "000-12-3456", "666-12-3456", "219-00-9999", "000000000"):
        assert without(text) == text


def test_forms_of_ones_own():
    without = compile_forms([], {"employee": "E-0000A", "badge": "AA.000"})
    assert without("E-1234x and E-1234, ab.123 or ab1123") == "[employee] and E-1234, [badge] or ab1123"
    assert without("E+1234x xE-1234x") == "E+1234x xE-1234x"


@pytest.mark.parametrize(
    ("country", "number"),
    [
        ("DK", "211062-5629"),
        ("DK", "211062 5629"),
        ("DK", "2110625629"),
        ("US", "536-90-4399"),
        ("US", "536 90 4399"),
        ("ES", "54362315K"),
        ("ES", "54.362.315-K"),
        ("ES", "54.362.315 K"),
        ("BR", "390.533.447-05"),
        ("BR", "390 533 447 05"),
        ("NL", "1112.22.333"),
        ("NL", "111 222 333"),
        ("CH", "756 9217 0769 85"),
        ("IT", "RCC MNL 83S18 D969H"),
    ],
)
def test_numbers_go_with_the_separators_people_write(country, number):
    assert compile_forms([country], {})(f"customer {number}, paid") == "customer [id], paid"


@pytest.mark.parametrize(("country", "number"), [("DK", "2110625628"), ("US", "536904399"), ("ES", "54.362.315-A")])
def test_numbers_that_fail_their_check_stay(country, number):
    assert compile_forms([country], {})(f"order {number}") == f"order {number}"
