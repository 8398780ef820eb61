"""What the file wants, as a configuration of Terraform's provider `jianyuan/sentry`, in Terraform's JSON syntax.

Names of teams, users and integrations become data sources. What the provider has no resource for is left out, and named
in a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .facts import Facts
from .kinds import alerts, crons, ownership
from .kinds.searches import both, term
from .recipients import ISSUE_OWNERS, provider_of
from .thing import Mark, Thing

SOURCE, VERSION = "jianyuan/sentry", "~> 0.15"
_LEFT_OUT = {
    "query": "saved queries", "scrubbing": "data scrubbing: `python -m agent sentry apply` sets it",
}  # fmt: skip
#: Of a cron monitor, where the file has none: as Sentry's own.
_MARGIN, _MAX_RUNTIME, _TIMES = 1, 30, 1


class _Reference(str):
    """What Terraform fills in."""

    __slots__ = ()


class Export:
    """`document` is what `*.tf.json` contains."""

    def __init__(self, facts: Facts, things: Iterable[Thing]) -> None:
        self._facts = facts
        self._mark = Mark(facts.project)
        self._where = {"organization": facts.project["organization"], "project": facts.project["project"]}
        self._names: dict[tuple[str, str], str] = {}
        self._data: dict[str, dict[str, Any]] = {}
        self._variables: dict[str, Any] = {}
        self._resources: dict[str, dict[str, Any]] = {}
        every = list(things)
        for thing in every:
            resource = getattr(self, "_" + thing.kind, None)
            if resource is not None:
                self._add(thing, *resource(thing))
        self._left_out = [_LEFT_OUT[kind] for kind in dict.fromkeys(each.kind for each in every) if kind in _LEFT_OUT]

    def document(self) -> dict[str, Any]:
        provider: dict[str, Any] = {}
        if self._facts.url != "https://sentry.io":
            provider["base_url"] = f"{self._facts.url}/api/"
        comment = f"Written by `python -m agent sentry export`, from {self._mark.text}. The token: SENTRY_AUTH_TOKEN."
        if self._left_out:
            comment += f" The provider has no resource for {', nor for '.join(self._left_out)}."
        document = {
            "//": comment,
            "terraform": {"required_providers": {"sentry": {"source": SOURCE, "version": VERSION}}},
            "provider": {"sentry": provider},
            "variable": self._variables,
            "data": self._data,
            "resource": self._resources,
        }
        return {key: value for key, value in document.items() if value or key == "provider"}

    def _add(self, thing: Thing, kind: str, body: dict[str, Any]) -> None:
        self._resources.setdefault(kind, {})[self._name(kind, thing.name or "project")] = _plain(body)

    def _name(self, kind: str, name: str) -> str:
        """An identifier of Terraform's; each name has one of its own."""
        if (kind, name) not in self._names:
            plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower() or "_"
            plain = plain if plain[0].isalpha() else f"n_{plain}"
            taken = {value for (other, _), value in self._names.items() if other == kind}
            while plain in taken:
                plain += "_"
            self._names[kind, name] = plain
        return self._names[kind, name]

    def _source(self, kind: str, name: str, attribute: str, body: dict[str, Any]) -> str:
        made = self._name(f"data.{kind}", name)
        self._data.setdefault(kind, {})[made] = _plain({"organization": self._where["organization"], **body})
        return _Reference(f"${{data.{kind}.{made}.{attribute}}}")

    # ---------------------------------------------------------------------------------------------- what is referred to

    def _person(self, recipient: str) -> tuple[str, str]:
        kind, _, name = recipient.partition(":")
        if kind == "team":
            return kind, self._source("sentry_team", name, "internal_id", {"slug": name})
        return kind, self._source("sentry_organization_member", name, "internal_id", {"email": name})

    def _owner(self, owner: str | None) -> dict[str, str] | None:
        if owner is None:
            return None
        kind, number = self._person(owner)
        return {f"{kind}_id": number}

    def _action(self, recipient: str) -> dict[str, Any]:
        if recipient == ISSUE_OWNERS:
            return {"email": {"target_type": "issue_owners", "fallthrough_type": "ActiveMembers"}}
        if recipient.partition(":")[0] in ("team", "user"):
            kind, number = self._person(recipient)
            return {"email": {"target_type": kind, "target_id": number}}
        provider, account, channel = provider_of(recipient)
        named = {"provider_key": provider, "name": account}
        body = {"integration_id": self._source("sentry_organization_integration", f"{provider} {account}", "id", named)}
        if provider == "slack":
            body["channel_name"] = channel
        elif provider == "discord":
            body["channel_id"] = channel
        elif provider == "msteams":
            body.update(channel_name=channel, team_id=self._variable(f"{account} team id"))
        elif provider == "pagerduty":
            body.update(service_id=self._variable(f"{account} {channel} service id"), service_name=channel,
                        severity="default")  # fmt: skip
        else:
            body.update(team_id=self._variable(f"{account} {channel} team id"), team_name=channel, priority="P3")
        return {provider: body}

    def _variable(self, name: str) -> str:
        made = self._name("var", name)
        self._variables[made] = {"type": "string", "description": f"Sentry's {name}"}
        return _Reference(f"${{var.{made}}}")

    # -------------------------------------------------------------------------------------------------------- resources

    def _monitor(self, thing: Thing) -> tuple[str, dict[str, Any]]:
        body = thing.body
        conditions = [{"type": kind, "comparison": body["above"], "condition_result": result}
                      for kind, result in (("gt", 75), ("lte", 0))]  # fmt: skip
        return "sentry_metric_monitor", {
            **self._where,
            "name": self._mark.on(thing.name),
            "description": body["description"],
            "owner": self._owner(body["owner"]),
            "aggregate": body["aggregate"],
            "dataset": "events_analytics_platform",
            "event_types": ["trace_item_span"],
            "query": body["search"],
            "query_type": "performance",
            "time_window_seconds": body["window"],
            "environment": body["environment"],
            "condition_group": {"logic_type": "any", "conditions": conditions},
            "issue_detection": {"type": "static"},
        }

    def _alert(self, thing: Thing) -> tuple[str, dict[str, Any]]:
        body = thing.body
        return "sentry_alert", {
            "organization": self._where["organization"],
            "name": self._mark.on(thing.name),
            "environment": body["environment"],
            "frequency_minutes": body["frequency"],
            "monitor_ids": [self._watched(each) for each in body["monitors"]],
            "trigger_conditions": [{"first_seen_event": {}}, {"regression_event": {}}, {"reappeared_event": {}}],
            "action_filters": [self._filter_of(each) for each in body["notify"]],
        }

    def _watched(self, name: str) -> str:
        if name == alerts.ERRORS:
            return self._source("sentry_project_error_monitor", "errors", "id",
                                {"project": self._where["project"], "first": True})  # fmt: skip
        made = self._name("sentry_metric_monitor", name.partition(":")[2])
        return _Reference(f"${{sentry_metric_monitor.{made}.id}}")

    def _filter_of(self, notify: dict[str, Any]) -> dict[str, Any]:
        conditions: list[dict[str, Any]] = []
        if notify["module"] is not None:
            conditions.append({"tagged_event": {"key": "erp.module", "match": "eq", "value": notify["module"]}})
        if notify["level"] is not None:
            conditions.append({"level": {"level": alerts.LEVELS[notify["level"]], "match": "eq"}})
        actions = [self._action(each) for each in notify["to"]]
        return {"logic_type": "all", "conditions": conditions, "actions": actions}

    def _cron(self, thing: Thing) -> tuple[str, dict[str, Any]]:
        body = thing.body
        number, _, unit = body["schedule"].partition(" ")
        interval = unit in crons.UNITS
        return "sentry_cron_monitor", {
            **self._where,
            "name": body["slug"],  # Sentry makes the slug of the name, and check-ins know the slug
            "owner": self._owner(body["owner"]),
            "timezone": body["timezone"],
            "checkin_margin_minutes": body["margin"] or _MARGIN,
            "max_runtime_minutes": body["max_runtime"] or _MAX_RUNTIME,
            "failure_issue_threshold": _TIMES,
            "recovery_threshold": _TIMES,
            "schedule": {"interval_value": int(number), "interval_unit": unit} if interval
            else {"crontab": body["schedule"]},
        }  # fmt: skip

    def _dashboard(self, thing: Thing) -> tuple[str, dict[str, Any]]:
        """The resource is limited to no project and no environment, so that each search is."""
        environment = self._facts.project["environment"]
        here = both(term("project", self._where["project"]), term("environment", environment) if environment else "")
        widgets = []
        for widget in thing.body["widgets"]:
            queries = [
                {
                    "name": query["name"] or None,
                    "fields": query["fields"],
                    "aggregates": query["aggregates"],
                    "columns": query["columns"],
                    "conditions": both(query["conditions"], here),
                    "order_by": query["orderby"] or None,
                }
                for query in widget["queries"]
            ]
            plain = {key: widget[key] for key in ("title", "display_type", "widget_type", "interval", "limit")}
            widgets.append({**plain, "query": queries, "layout": [widget["layout"]]})
        return "sentry_dashboard", {"organization": self._where["organization"], "title": self._mark.on(thing.name),
                                    "widget": widgets}  # fmt: skip

    def _ownership(self, thing: Thing) -> tuple[str, dict[str, Any]]:
        return "sentry_project_ownership", {
            **self._where,
            "raw": ownership.to_api(thing.body, self._mark, "")["raw"],
            "fallthrough": True,
            "auto_assignment": "Auto Assign to Issue Owner",
            "codeowners_auto_sync": True,
        }

    def _filter(self, thing: Thing) -> tuple[str, dict[str, Any]]:
        return "sentry_project_inbound_data_filter", {**self._where, "filter_id": thing.name, "active": True}


def _plain(value: Any) -> Any:
    """Without what is None, and with texts as they are: Terraform would fill in what stands in `${}` and `%{}`."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, str) and not isinstance(value, _Reference):
        return value.replace("${", "$${").replace("%{", "%%{")
    return value
