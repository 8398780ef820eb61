"""The export for Terraform, against the documented schema of the provider (tests/data/terraform-sentry.json)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from sentry_project.test_setting_up import FILE

from agent.cli.main import main
from agent.sentry_project import facts as project_facts
from agent.sentry_project import wanted
from agent.sentry_project.terraform import Export

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[1] / "data" / "terraform-sentry.json").read_text(encoding="utf-8")
)
PYTHON = {"String": str, "Number": (int, float), "Boolean": bool}


def complaints(schema: Any, body: dict[str, Any], where: str) -> list[str]:
    """As `terraform validate` would: unknown and missing arguments, types, values."""
    found = [f"{where}: {name} is missing" for name, each in schema.items()
             if each["need"] == "required" and name not in body]  # fmt: skip
    for name, value in body.items():
        each = schema.get(name)
        if each is None or each["need"] == "read-only":
            found.append(f"{where}: {name} is no argument")
            continue
        found += of_value(each, value, f"{where}.{name}")
    return found


def of_value(each: Any, value: Any, where: str) -> list[str]:
    kind = each["type"]
    if kind in PYTHON:
        right = isinstance(value, PYTHON[kind]) and (kind == "Boolean" or not isinstance(value, bool))
        if not right or ("values" in each and value not in each["values"]):
            return [f"{where}: {value!r} is no {kind}, or none of {each.get('values')}"]
        return []
    if kind == "Attributes":
        return complaints(each.get("of", {}), value, where)
    if kind in ("Attributes List", "Block List"):
        few = [f"{where}: too few"] if len(value) < each.get("min", 0) else []
        return few + [text for at, one in enumerate(value) for text in complaints(each["of"], one, f"{where}[{at}]")]
    assert kind in ("Set of String", "List of String"), kind
    strange = [one for one in value if not isinstance(one, str) or one not in each.get("values", [one])]
    return [f"{where}: {strange}"] if strange else []


def document(tmp_path: Path, project: str = "", text: str = FILE) -> dict[str, Any]:
    file = tmp_path / "monitors.yaml"
    file.write_text(text.format(project=project), encoding="utf-8")
    facts = project_facts.read(str(file), {})
    return Export(facts, wanted.all_of(facts, []).things).document()


def all_complaints(made: dict[str, Any]) -> list[str]:
    found = complaints(SCHEMA["provider"], made["provider"]["sentry"], "provider")
    for group in ("resource", "data"):
        for kind, each in made.get(group, {}).items():
            for name, body in each.items():
                assert re.fullmatch(r"[a-z_][a-z0-9_]*", name), name
                found += complaints(SCHEMA[group][kind], body, f"{kind}.{name}")
    for reference in re.findall(r"(?<!\$)\$\{([^}]*)\}", json.dumps(made)):
        group, *path = reference.split(".")
        if group == "data":
            kind, name, attribute = path
            if name not in made["data"][kind] or attribute not in SCHEMA["data"][kind]:
                found.append(f"no {reference}")
        elif group == "var":
            found += [] if path[0] in made["variable"] else [f"no {reference}"]
        elif path[0] not in made["resource"][group] or path[1] not in SCHEMA["resource"][group]:
            found.append(f"no {reference}")
    return found


def test_the_export_is_what_the_provider_documents(tmp_path):
    made = document(tmp_path)
    assert all_complaints(made) == []
    assert {kind: len(each) for kind, each in made["resource"].items()} == {
        "sentry_metric_monitor": 8, "sentry_alert": 8, "sentry_cron_monitor": 2, "sentry_dashboard": 5,
        "sentry_project_ownership": 1, "sentry_project_inbound_data_filter": 2,
    }  # fmt: skip
    assert made["provider"]["sentry"]["base_url"] == "https://sentry.norrland.example/api/"
    assert "saved queries" in made["//"] and "data scrubbing" in made["//"]


def test_every_recipient_and_option_is_in_the_providers_form(tmp_path):
    to = json.dumps(["owner", "team:sales", "user:a@x.example", "slack:N/#erp", "pagerduty:N/ERP", "opsgenie:S/ERP",
                     "discord:W/99", "msteams:O/General"])  # fmt: skip
    project = (
        "    environment: production\n"
        f"    alerts: {{issues: {{fatal: {to}, debug: [owner]}}, metrics: {to}, p95: operations, error_rate: off}}\n"
    )
    made = document(tmp_path, project)
    assert all_complaints(made) == []
    assert set(made["variable"]) == {"n_erp_service_id", "s_erp_team_id", "o_team_id"}
    assert all("project:erp environment:production" in query["conditions"]
               for board in made["resource"]["sentry_dashboard"].values()
               for widget in board["widget"] for query in widget["query"])  # fmt: skip


def test_the_check_refuses_what_the_provider_would(tmp_path):
    made = document(tmp_path)
    board = next(iter(made["resource"]["sentry_dashboard"].values()))
    board["widgets"] = board.pop("widget")
    monitor = next(iter(made["resource"]["sentry_metric_monitor"].values()))
    monitor["query_type"] = "spans"
    del monitor["aggregate"]
    alert = next(iter(made["resource"]["sentry_alert"].values()))
    alert["monitor_ids"].append("${sentry_metric_monitor.none.id}")
    assert len(all_complaints(made)) == 4


def test_what_terraform_would_fill_in_is_escaped(tmp_path):
    project = '    environment: "x%{{y}}$${{z}}"\n    alerts: {{p95: operations}}\n'
    text = FILE.replace("operation: create_order", "operation: 'say \"x\" * 2'").replace("{project}", project)
    made = document(tmp_path, "", text)
    (monitor,) = [
        each for each in made["resource"]["sentry_metric_monitor"].values() if "erp.operation" in each["query"]
    ]
    assert monitor["environment"] == "x%%{y}$${z}"
    assert monitor["query"] == 'erp.module:sales erp.operation:"say \\"x\\" \\* 2"'
    board = made["resource"]["sentry_dashboard"]["sales"]
    assert 'environment:"x%%{y}$${z}"' in board["widget"][0]["query"][0]["conditions"]


@pytest.mark.parametrize("form", ["terraform", "json"])
def test_the_command_needs_no_token_and_writes_a_file(tmp_path, form, monkeypatch, capsys):
    monkeypatch.delenv("SENTRY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("AGENT_STATE_DIR", str(tmp_path / "state"))
    config, file = tmp_path / "monitors.yaml", tmp_path / "sentry.tf.json"
    config.write_text(FILE.format(project=""), encoding="utf-8")
    arguments = ["sentry", "export", "--config", str(config), "--format", form, "--output", str(file)]
    assert main(arguments) == 0 and main(arguments) == 0
    held = json.loads(file.read_text(encoding="utf-8"))
    if form == "terraform":
        assert all_complaints(held) == []
    else:
        assert {each["kind"] for each in held} == {"monitor", "alert", "cron", "dashboard", "query", "ownership",
                                                   "filter", "scrubbing"}  # fmt: skip
