"""The dashboard for Grafana, against the types that Grafana publishes of its schema; and its layout."""

from __future__ import annotations

import json
import sys
import typing
from enum import Enum
from pathlib import Path

import pytest
from acceptance.services import missing

DASHBOARD = json.loads((Path(__file__).parents[2] / "docs" / "grafana" / "erp.json").read_text(encoding="utf-8"))
PANELS = DASHBOARD["panels"]


@pytest.fixture
def sdk():
    if sys.version_info < (3, 11):
        pytest.skip("grafana-foundation-sdk needs Python 3.11")
    try:
        from grafana_foundation_sdk.cog import encoder, plugins
        from grafana_foundation_sdk.models import dashboard
    except ImportError:
        missing("grafana-foundation-sdk")
    plugins.register_default_plugins()
    return dashboard.Dashboard, encoder.JSONEncoder


def unknown(given, known, path=""):
    """Yield what is not the same after a way through the types, which drop what they do not know."""
    if isinstance(given, dict) and isinstance(known, dict):
        for key, value in given.items():
            if key in known:
                yield from unknown(value, known[key], f"{path}/{key}")
            else:
                yield f"{path}/{key} is unknown"
    elif isinstance(given, list) and isinstance(known, list) and len(given) == len(known):
        for number, (one, other) in enumerate(zip(given, known)):
            yield from unknown(one, other, f"{path}/{number}")
    elif given != known:
        yield f"{path}: {given!r} became {known!r}"


def mistyped(value, hint, path=""):
    """Yield where a value is not of the type that its field is declared with."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Union:
        if value is not None or type(None) not in arguments:
            found = [list(mistyped(value, each, path)) for each in arguments if each is not type(None)]
            if all(found):
                yield from found[0]
    elif origin is list:
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
            return
        for number, each in enumerate(value):
            yield from mistyped(each, arguments[0], f"{path}/{number}")
    elif isinstance(hint, type) and issubclass(hint, Enum):
        if value not in [each.value for each in hint] and value not in list(hint):
            yield f"{path}: {value!r} is none of {[each.value for each in hint]}"
    elif hint in (str, bool, int, float):
        if not isinstance(value, (int, float) if hint is float else hint) or (
            hint is not bool and isinstance(value, bool)
        ):
            yield f"{path}: {value!r} is no {hint.__name__}"
    elif hasattr(value, "to_json"):
        for name, each in typing.get_type_hints(type(value)).items():
            if hasattr(value, name):
                yield from mistyped(getattr(value, name), each, f"{path}/{name}")


def test_grafanas_types_know_everything_in_it(sdk):
    dashboard, encoder = sdk
    made = dashboard.from_json(DASHBOARD)
    assert list(unknown(DASHBOARD, json.loads(encoder().encode(made)))) == []
    assert list(mistyped(made, dashboard)) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"titel": "ERP"}, "/titel is unknown"),
        ({"schemaVersion": "38"}, "/schema_version: '38' is no int"),
        ({"graphTooltip": 7}, "/graph_tooltip: 7 is none of"),
        (
            {"panels": [{"type": "stat", "gridPos": {"h": "4", "w": 1, "x": 0, "y": 0}}]},
            "/panels/0/grid_pos/h: '4' is no int",
        ),
    ],
)
def test_the_check_finds_mistakes(sdk, change, complaint):
    dashboard, encoder = sdk
    given = {**DASHBOARD, **change}
    made = dashboard.from_json(given)
    found = [*unknown(given, json.loads(encoder().encode(made))), *mistyped(made, dashboard)]
    assert any(each.startswith(complaint) for each in found), found


def test_panels_have_ids_of_their_own_and_do_not_overlap():
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    taken = set()
    for panel in PANELS:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_each_panel_asks_the_data_source_that_was_chosen_and_has_a_unit():
    assert len(PANELS) > 25
    for panel in PANELS:
        if panel["type"] == "row":
            continue
        assert panel["targets"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            assert 'instance=~"$instance"' in target["expr"]
            assert "[5m]" not in target["expr"]
