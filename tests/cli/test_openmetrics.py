"""The text formats, read by the parsers of Prometheus' own client for Python."""

from __future__ import annotations

import math
import random
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from metrics_kit import SALES, STEP, STOCK, Growing, counts
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_prometheus

from agent.cli.metrics import operations, text
from agent.cli.metrics.families import FAMILIES, Durations
from agent.cli.terminal import clean
from agent.measure import layout
from agent.measure.figures import Counts, Key

BY_NAME = {family.name: family for family in FAMILIES}

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


class Fixed:
    def __init__(self, figures, recent=None):
        self._figures = figures
        self._recent = figures if recent is None else recent

    def totals(self):
        return self._figures

    def window(self, seconds):
        assert seconds == 3600
        return self._recent


def read(parse, exposed):
    """Return the type and the samples of each family: (name, labels) → value."""
    families = list(parse(exposed))
    assert len({family.name for family in families}) == len(families)
    return {
        family.name: (family.type, {(each.name, frozenset(each.labels.items())): each.value for each in family.samples})
        for family in families
    }


def whole(value=1):
    """A sample for each family."""
    return {
        family.name: {
            tuple(f"the {label}" for label in family.labels): Durations(counts().buckets, 1.5)
            if family.kind == "histogram" else value
        }
        for family in FAMILIES
    }  # fmt: skip


def test_both_formats_have_every_family_with_its_type_and_labels():
    openmetrics = read(read_openmetrics, text.openmetrics(whole()))
    assert set(openmetrics) == set(BY_NAME)
    for name, (kind, samples) in openmetrics.items():
        family = BY_NAME[name]
        assert kind == family.kind
        for sample, labels in samples:
            assert {label for label, _ in labels} - {"le"} == set(family.labels)
            if family.kind != "histogram":
                assert sample == family.sample
    prometheus = read(read_prometheus, text.prometheus(whole()))
    assert {name: samples for name, (_, samples) in prometheus.items()} == {
        (BY_NAME[name].sample if BY_NAME[name].kind == "info" else name): samples
        for name, (_, samples) in openmetrics.items()
    }
    assert text.openmetrics(whole()).endswith("\n# EOF\n")
    assert "# EOF" not in text.prometheus(whole())


def test_units_are_in_names_and_only_openmetrics_has_them():
    exposed = text.openmetrics(whole())
    assert {line.split()[2]: line.split()[3] for line in exposed.splitlines() if line.startswith("# UNIT")} == {
        family.name: family.unit for family in FAMILIES if family.unit
    }
    for family in FAMILIES:
        assert not family.unit or family.name.endswith("_" + family.unit)
        assert family.unit or not family.name.endswith(("_seconds", "_bytes"))
    assert "# UNIT" not in text.prometheus(whole())


def test_what_has_no_samples_is_left_out():
    assert text.openmetrics({"erp_calls": {}}) == "# EOF\n"


def test_for_how_long_calls_were_not_counted_is_a_counter_of_those_that_were_not():
    samples = operations.collect(Fixed({SALES[0]: counts(calls=1), STOCK[0]: counts(calls=1, UNCOUNTED=1500)}))
    assert samples["erp_uncounted_seconds"] == {("inventory", "reserve", "reserve", "database"): 1.5}


def test_the_numbers_of_an_operation_are_its_counts_over_all_releases():
    samples = operations.collect(Growing())
    labels = ("inventory", "reserve", "reserve", "database")
    assert samples["erp_calls"][labels] == STEP[STOCK[0]].calls + STEP[STOCK[1]].calls
    assert samples["erp_failures"][(*labels, "error")] == 8
    assert samples["erp_release_calls"] == {
        ("sales", "shop@1"): STEP[SALES[0]].calls + STEP[SALES[1]].calls,
        ("inventory", "shop@1"): STEP[STOCK[0]].calls,
        ("inventory", "shop@2"): STEP[STOCK[1]].calls,
    }
    order = ("sales", "create_order", "sales create_order", "function")
    sales = STEP[SALES[0]]
    assert [samples[name][order] for name in ("erp_expected", "erp_slow", "erp_rule_hits", "erp_events")] == [
        6,
        20,
        4,
        30,
    ]
    assert samples["erp_held"] == {
        (*order, "rate"): 3,
        ("sales", "invoice", "sales invoice", "function", "sample"): 2,
        ("sales", "invoice", "sales invoice", "function", "other"): 1,
    }
    assert samples["erp_last_failure_timestamp_seconds"] == {order: 1_790_000_000.0, labels: 1_790_000_001.0}
    assert samples["erp_users_affected"][order] == sales.users
    assert samples["erp_host_users_affected"] == {(): sum(STEP.values(), Counts()).users}


def test_a_first_failure_has_a_zero_before_it():
    """Without it, a rate would not see the failure."""
    samples = operations.collect(Fixed({SALES[0]: counts(calls=3)}))
    labels = ("sales", "create_order", "sales create_order", "function")
    assert samples["erp_failures"] == {(*labels, severity): 0 for severity in ("warning", "error", "fatal")}


def test_what_had_no_call_lately_keeps_its_series_and_its_release_does_not():
    samples = operations.collect(Fixed(STEP, {}))
    assert set(samples["erp_users_affected"].values()) == {0}
    assert len(samples["erp_users_affected"]) == 3
    assert samples["erp_module_users_affected"] == {("sales",): 0, ("inventory",): 0}
    assert samples["erp_release_calls"] == {}
    assert len(samples["erp_calls"]) == 3


def test_buckets_are_cumulative_at_bounds_that_never_change():
    bounds = [layout.bound(bucket) for bucket in text.EXPOSED]
    assert bounds[0] == 2.0**-12
    assert bounds[-1] == 512
    assert len(bounds) == 30
    ratios = {round(high / low, 6) for low, high in zip(bounds, bounds[1:])}
    assert ratios == {2.0, round(math.sqrt(2), 6)}
    chance = random.Random(7)
    buckets = [chance.randrange(9) for _ in range(layout.BUCKETS)]
    exposed = text.openmetrics({"erp_call_duration_seconds": {("m", "o", "n", "k"): Durations(buckets, 2.5)}})
    samples = read(read_openmetrics, exposed)["erp_call_duration_seconds"][1]
    found = {dict(labels).get("le"): value for (name, labels), value in samples.items() if name.endswith("_bucket")}
    below = list(accumulate(buckets))
    assert found == {**{repr(layout.bound(bucket)): below[bucket] for bucket in text.EXPOSED}, "+Inf": sum(buckets)}
    rest = {name: value for (name, _), value in samples.items() if not name.endswith("_bucket")}
    assert rest == {"erp_call_duration_seconds_sum": 2.5, "erp_call_duration_seconds_count": sum(buckets)}


_HOSTILE = st.text(st.sampled_from('ab"\\\n\r\t{}=,# \u2028é語\U0001f600\x00\x1b'), max_size=8) | st.text(max_size=8)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(
    names=st.lists(st.tuples(_HOSTILE, _HOSTILE, _HOSTILE, _HOSTILE, _HOSTILE), min_size=1, max_size=5),
    constant=_HOSTILE,
)
def test_whatever_operations_are_called_is_read_back(names, constant):
    figures = {Key(*name): counts(index, calls=index + 1) for index, name in enumerate(dict.fromkeys(names))}
    samples = operations.collect(Fixed(figures))
    constants = {"erp": clean(constant)}
    expected: dict[frozenset, int] = {}
    for key, one in figures.items():
        labels = {name: clean(value) for name, value in zip(("module", "operation", "monitor", "kind"), key)}
        labels = frozenset({**labels, **constants}.items())
        expected[labels] = expected.get(labels, 0) + one.calls
    for parse, exposed in (
        (read_openmetrics, text.openmetrics(samples, constants)),
        (read_prometheus, text.prometheus(samples, constants)),
    ):
        found = read(parse, exposed)["erp_calls"][1]
        assert {labels: value for (_, labels), value in found.items()} == expected
        exposed.encode("utf-8")


@pytest.mark.parametrize("value", [0, 1, 1.5, 1e-7, 1e22, 1_790_000_000.123, 2**63])
def test_numbers_are_read_back(value):
    exposed = text.openmetrics({"erp_host_users_affected": {(): value}})
    ((kind, samples),) = read(read_openmetrics, exposed).values()
    assert kind == "gauge"
    assert list(samples.values()) == [value]


def test_the_document_has_every_metric_as_it_is_exposed():
    document = DOCUMENT.read_text(encoding="utf-8")
    rows = [
        f"| `{family.sample}` | {family.kind} | {', '.join(f'`{label}`' for label in family.labels) or '–'} | {family.text} |"
        for family in FAMILIES
    ]
    assert [line for line in document.splitlines() if line.startswith("| `erp_")] == rows


def test_the_number_of_series_in_the_document_is_right():
    samples = operations.collect(Fixed({SALES[0]: counts(calls=1, failures={"error": 1}, LAST_FAILURE=1)}))
    of_operation = {name: rows for name, rows in samples.items() if "operation" in BY_NAME[name].labels}
    series = text.prometheus(of_operation).splitlines()
    number = sum(not line.startswith("#") for line in series)
    assert f"= operations × {number}\n" in DOCUMENT.read_text(encoding="utf-8")
