"""A Sentry that holds dashboards, monitors, alerts and settings, and refuses what Sentry refuses.

Requests are checked against an extract of Sentry's published API schema (tests/data/sentry-api.json): the path, query
parameters, body and scopes. Keys that the schema does not have are refused too, which Sentry would ignore. What the
schema leaves open (conditions, actions) is checked as Sentry's own validators do.

It is used in this process, in place of urllib3's pool, or as a server on the loopback (`serve`).
"""

from __future__ import annotations

import contextlib
import copy
import json
import re
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import jsonschema

SCHEMA = Path(__file__).resolve().parents[1] / "data" / "sentry-api.json"
TOKEN = "sntrys_ABCdef0123456789"
ALL_SCOPES = ("org:read", "project:write", "alerts:write", "member:read", "team:read")

#: Accepted by Sentry, and not in its published schema. `version` tells new saved queries from very old ones; what the
#: project returns of its scrubbing can be set, too (`ProjectAdminSerializer`).
UNPUBLISHED = {
    "/discover/saved/": {"version": {"enum": [2]}},
    "/projects/": {
        "dataScrubber": {"type": "boolean"},
        "dataScrubberDefaults": {"type": "boolean"},
        "scrubIPAddresses": {"type": "boolean"},
        "sensitiveFields": {"type": "array", "items": {"type": "string"}},
    },
}
PAGING = {"per_page", "cursor"}  # every list of Sentry's
TRIGGERS = {"first_seen_event", "regression_event", "reappeared_event", "issue_resolved_trigger"}
PROVIDERS = {"slack", "discord", "msteams", "pagerduty", "opsgenie"}


class RefusedError(Exception):
    def __init__(self, status: int, body: Any) -> None:
        super().__init__(str(body))
        self.status, self.body = status, body


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    data: bytes

    def read(self, *_: Any, **__: Any) -> bytes:
        return self.data

    def release_conn(self) -> None:
        pass


@cache
def published() -> dict[str, Any]:
    return json.loads(SCHEMA.read_text(encoding="utf-8"))["paths"]


@cache
def routes() -> list[tuple[re.Pattern[str], str]]:
    found = []
    for path in published():
        inner = path.removeprefix("/api/0")
        found.append((re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(inner)) + "$"), path))
    return found


def as_json_schema(schema: Any, more: dict[str, Any]) -> Any:
    """OpenAPI's `nullable` as JSON Schema has it; no other keys than those that are named."""
    if isinstance(schema, list):
        return [as_json_schema(each, {}) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: as_json_schema(value, {}) for key, value in schema.items() if key not in ("nullable", "properties")}
    if "properties" in schema:
        made["properties"] = {**{key: as_json_schema(value, {}) for key, value in schema["properties"].items()}, **more}
        made.setdefault("additionalProperties", False)
    if schema.get("nullable"):
        return {"anyOf": [made, {"type": "null"}]}
    return made


_validators: dict[tuple[Any, ...], Any] = {}


def camel(value: Any) -> Any:
    """Sentry takes snake_case and returns camelCase."""
    if isinstance(value, dict):
        return {re.sub(r"_(\w)", lambda found: found[1].upper(), key): camel(each) for key, each in value.items()}
    return [camel(each) for each in value] if isinstance(value, list) else value


class Stub:
    """`pool` of an Api is `self`: `request` has the signature of urllib3's."""

    def __init__(self, *, scopes: tuple[str, ...] = ALL_SCOPES, page: int = 3, old: bool = False) -> None:
        self.scopes, self.page, self.old = scopes, page, old
        self.features = ["incidents", "discover-query"]
        self.environments = ["", "production", "stage*", "x%{y}${z}"]
        self.limit_each = 0  # each so-many-th request is answered with 429
        self.fail_write: int | None = None  # the number of the write that fails, from 0
        self.lose_response = False  # that write is done, and its response is lost
        self.monitor_quota: int | None = None
        self.requests: list[tuple[str, str, Any]] = []
        self.writes = 0
        self.slept: list[float] = []
        self.now = 1_000_000.0
        self.teams = [{"id": str(10 + at), "slug": slug, "name": slug} for at, slug in enumerate(
            ("sales-team", "warehouse-team", "production-team", "quality-team", "finance-team", "it-team", "sales"))]  # fmt: skip
        self.members = [
            {"id": "900", "email": "anna@norrland.example", "user": {"id": "77", "email": "anna@norrland.example"}},
            {"id": "901", "email": "bo@norrland.example", "user": {"id": "78", "email": "bo@home.example"}},
            {"id": "902", "email": "invited@norrland.example", "user": None},
        ]
        self.integrations = [
            {"id": "500", "name": "Norrland", "provider": {"key": "slack"}, "configData": {}},
            {"id": "501", "name": "Norrland", "provider": {"key": "pagerduty"},
             "configData": {"service_table": [{"id": 7, "service": "ERP", "integration_key": "k"}]}},
            {"id": "502", "name": "Support", "provider": {"key": "opsgenie"},
             "configData": {"team_table": [{"id": "502-erp", "team": "ERP"}]}},
            {"id": "503", "name": "Workshop", "provider": {"key": "discord"}, "configData": {}},
            {"id": "504", "name": "Office", "provider": {"key": "msteams"}, "configData": {}},
        ]  # fmt: skip
        self.project: dict[str, Any] = {
            "id": "42", "slug": "erp", "teams": copy.deepcopy(self.teams), "dataScrubber": False,
            "dataScrubberDefaults": False, "scrubIPAddresses": False, "sensitiveFields": ["theirs"], "safeFields": [],
        }  # fmt: skip
        self.ownership: str | None = None
        self.filters = {"filtered-transaction": False, "web-crawlers": False, "localhost": False,
                        "browser-extensions": True, "legacy-browsers": []}  # fmt: skip
        self.held: dict[str, dict[str, dict[str, Any]]] = {
            kind: {} for kind in ("dashboards", "detectors", "workflows", "monitors", "saved")
        }
        self._next = 1000
        self.add("detectors", {"name": "Error Monitor", "type": "error", "projectId": "42"})
        self.add("detectors", {"name": "Issue Stream", "type": "issue_stream", "projectId": "42"})

    # ---------------------------------------------------------------------------------------------------------- its use

    def request(self, method: str, url: str, body: bytes | None = None, headers: Any = None, **_: Any) -> Reply:
        parts = urlsplit(url)
        return self.handle(method, parts.path, parts.query, body, headers or {})

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now

    def add(self, kind: str, thing: dict[str, Any]) -> str:
        """Something that a person made."""
        self._next += 1
        number = thing.get("slug") or str(self._next)
        self.held[kind][number] = {"id": str(self._next), **thing}
        return str(number)

    def snapshot(self) -> Any:
        return copy.deepcopy([self.held, self.project, self.ownership, self.filters])

    def handle(self, method: str, path: str, query: str, body: bytes | None, headers: Any) -> Reply:
        held = json.loads(body) if body else None
        self.requests.append((method, path, held))
        try:
            status, found, more = self._handled(method, path.removeprefix("/api/0"), parse_qs(query), held, headers)
        except RefusedError as refusal:
            status, found, more = refusal.status, refusal.body, {}
        return Reply(status, more, json.dumps(found).encode() if found is not None else b"")

    @contextlib.contextmanager
    def serve(self) -> Any:
        """Yields the address of a server on the loopback."""
        stub = self
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # a response in two segments waits 40 ms for the acknowledgement of the first

            def log_message(self, *_: object) -> None:
                pass

            def serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                parts = urlsplit(self.path)
                with lock:
                    reply = stub.handle(self.command, parts.path, parts.query, body or None, self.headers)
                self.send_response(reply.status)
                for name, value in {**reply.headers, "Content-Length": str(len(reply.data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.data)

            do_GET = do_POST = do_PUT = do_DELETE = serve

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    # --------------------------------------------------------------------------------------------------------- requests

    def _handled(self, method: str, path: str, query: Any, body: Any, headers: Any) -> tuple[int, Any, dict[str, str]]:
        if self.limit_each and len(self.requests) % self.limit_each == 0:
            reset = str(self.now + 2)
            return (
                429,
                {"detail": "slow down"},
                {"X-Sentry-Rate-Limit-Reset": reset, "X-Sentry-Rate-Limit-Remaining": "0"},
            )
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            raise RefusedError(401, {"detail": "Invalid token"})
        if path == "/":
            return 200, {"version": "0", "auth": {"scopes": list(self.scopes)}, "user": None}, {}
        found = re.fullmatch(r"/(organizations|projects)/([^/]+)/(.*)", path)
        if found is None or unquote(found[2]) != "norrland":
            raise RefusedError(404, {"detail": "The requested resource does not exist"})
        self._check(method, path, query, body)
        lost = False
        if method != "GET":
            at, self.writes = self.writes, self.writes + 1
            if at == self.fail_write:
                if not self.lose_response:
                    return 502, {"detail": "bad gateway"}, {}
                lost = True
        answer = self._served(method, path, query, body)
        return (504, {"detail": "gateway timeout"}, {}) if lost else answer

    def _check(self, method: str, path: str, query: Any, body: Any) -> None:
        route = next((route for pattern, route in routes() if pattern.match(path)), None)
        if route is None:
            return  # one of those in `_served` that are not in the extract
        facts = published()[route].get(method.lower())
        if facts is None:
            raise RefusedError(405, {"detail": f'Method "{method}" not allowed.'})
        allowed = {*facts["scopes"], *(["org:read"] if path.endswith("/teams/") else [])}
        if not allowed & self._granted():
            raise RefusedError(403, {"detail": "You do not have permission to perform this action."})
        strange = set(query) - set(facts["query"]) - (PAGING if method == "GET" else set())
        if strange:
            raise RefusedError(400, {"detail": f"no such parameters: {strange}"})
        if "request" in facts:
            more = next((keys for part, keys in UNPUBLISHED.items() if part in path and "/saved" in part), {})
            if path.startswith("/projects/") and path.count("/") == 4:
                more = UNPUBLISHED["/projects/"]
            self.validate(facts["request"], body, more)

    @staticmethod
    def validate(schema: Any, body: Any, more: dict[str, Any]) -> None:
        key = (id(schema), *sorted(more))
        if key not in _validators:
            _validators[key] = jsonschema.Draft202012Validator(as_json_schema(schema, more))
        validator = _validators[key]
        errors = [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(body)]
        if errors:
            raise RefusedError(400, {"detail": errors})

    def _granted(self) -> set[str]:
        ranks = ("read", "write", "admin")
        found = set()
        for scope in self.scopes:
            resource, _, level = scope.partition(":")
            if level in ranks:
                found |= {f"{resource}:{each}" for each in ranks[: ranks.index(level) + 1]}
        return found

    def _served(self, method: str, path: str, query: Any, body: Any) -> tuple[int, Any, dict[str, str]]:
        kind, *parts = [unquote(each) for each in path.strip("/").split("/")]
        rest = parts[1:]
        if kind == "projects":
            return self._of_project(method, rest, body)
        if not rest:
            return 200, {"id": "1", "slug": "norrland", "features": self.features}, {}
        if rest in (["teams"], ["members"], ["integrations"]) and method == "GET":
            if rest == ["members"] and "member:read" not in self._granted():
                raise RefusedError(403, {"detail": "You do not have permission to perform this action."})
            return self._paged(getattr(self, rest[0]), query, path)
        if rest[0] == "projects":
            return self._create("detectors", self._detector(body, rest[1]))
        if rest[0] == "discover":
            rest = rest[1:]
        if rest[0] not in self.held or (self.old and rest[0] in ("detectors", "workflows")):
            raise RefusedError(404, {"detail": "The requested resource does not exist"})
        if len(rest) == 1:
            if method == "GET":
                return self._paged(self._list(rest[0], query), query, path)
            return self._create(rest[0], self._made(rest[0], body, None))
        held = self.held[rest[0]].get(rest[1])
        if held is None:
            raise RefusedError(404, {"detail": "The requested resource does not exist"})
        if method == "GET":
            return 200, held, {}
        if method == "DELETE":
            del self.held[rest[0]][rest[1]]
            return 202 if rest[0] == "monitors" else 204, None, {}
        if rest[0] == "saved":
            self.validate(published()["/api/0/organizations/{organization_id_or_slug}/discover/saved/"]["post"]["request"],
                          body, UNPUBLISHED["/discover/saved/"])  # fmt: skip
        held.update(self._made(rest[0], body, held))
        return 200, held, {}

    def _of_project(self, method: str, rest: list[str], body: Any) -> tuple[int, Any, dict[str, str]]:
        if rest[:1] != [self.project["slug"]]:
            raise RefusedError(404, {"detail": "The requested resource does not exist"})
        if rest[1:] == ["ownership"]:
            if method == "PUT":
                self._check_rules(body["raw"])
                self.ownership = body["raw"]
            return 200, {"raw": self.ownership, "fallthrough": True, "isActive": True}, {}
        if rest[1:] == ["environments"]:
            return 200, [{"id": str(at), "name": name} for at, name in enumerate(self.environments)], {}
        if rest[1:] == ["filters"]:
            return 200, [{"id": name, "active": active, "name": name} for name, active in self.filters.items()], {}
        if rest[1:2] == ["filters"]:
            if rest[2] not in self.filters or set(body) != {"active"} or not isinstance(body["active"], bool):
                raise RefusedError(400, {"detail": "no such filter"})
            self.filters[rest[2]] = body["active"]
            return 204, None, {}
        if method == "PUT":
            self.project.update(body)
        return 200, self.project, {}

    def _check_rules(self, raw: str) -> None:
        """As Sentry's grammar: a matcher, then owners who have access to the project."""
        inside = {f"#{team['slug']}" for team in self.project["teams"]}
        known = inside | {
            mail for each in self.members if each["user"] for mail in (each["email"], each["user"]["email"])
        }
        for line in raw.splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            matcher, *owners = line.split()
            if not re.match(r"(?:url|path|module|codeowners|tags\.[^:]+):\S+$", matcher) or not owners:
                raise RefusedError(400, {"raw": [f"Parse error: {line}"]})
            strange = [owner for owner in owners if owner not in known]
            if strange:
                raise RefusedError(400, {"raw": [f"Invalid rule owners: {strange}"]})

    def _paged(self, things: list[Any], query: Any, path: str) -> tuple[int, Any, dict[str, str]]:
        size = min(self.page, int(query.get("per_page", ["100"])[0]))
        start = int(query.get("cursor", ["0:0:0"])[0].split(":")[1])
        more = "true" if start + size < len(things) else "false"
        where = f"<https://sentry.example{path}?&cursor=0:{start + size}:0>"
        link = (
            f'<https://sentry.example{path}?&cursor=0:0:1>; rel="previous"; results="{"true" if start else "false"}"; '
            f'cursor="0:0:1", {where}; rel="next"; results="{more}"; cursor="0:{start + size}:0"'
        )
        return 200, things[start : start + size], {"Link": link}

    def _list(self, kind: str, query: Any) -> list[Any]:
        every = list(self.held[kind].values())
        if kind == "dashboards":
            return [{key: each.get(key) for key in ("id", "title", "projects", "environment")} for each in every]
        if kind == "detectors" and "project" in query:
            every = [each for each in every if each.get("projectId") in query["project"]]
        return every

    def _create(self, kind: str, made: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        if kind == "monitors" and made["slug"] in self.held[kind]:
            raise RefusedError(400, {"slug": ['The slug "%s" is already in use.' % made["slug"]]})
        if kind == "dashboards" and made["title"] in {each["title"] for each in self.held[kind].values()}:
            raise RefusedError(409, "Dashboard with that title already exists.")
        if kind == "saved" and made["name"] in {each["name"] for each in self.held[kind].values()}:
            raise RefusedError(400, {"detail": "Query with this name already exists."})
        number = self.add(kind, made)
        return 201, self.held[kind][number], {}

    # ----------------------------------------------------------------------------------------------- what is made of it

    def _made(self, kind: str, body: Any, there: Any) -> dict[str, Any]:
        if kind == "detectors":
            return self._detector(body, self.project["slug"])
        if kind == "workflows":
            return self._workflow(body)
        if kind == "monitors":
            return self._cron(body)
        if kind == "dashboards":
            return self._dashboard(body)
        return {
            "environment": [],
            **{key: body[key] for key in body if key != "projects"},
            "projects": body["projects"],
        }

    def _owner(self, text: str | None) -> Any:
        if text is None:
            return None
        kind, _, number = text.partition(":")
        users = {each["user"]["id"] for each in self.members if each["user"]}
        known = {each["id"] for each in self.teams} if kind == "team" else users
        if kind not in ("team", "user") or number not in known:
            raise RefusedError(400, {"owner": [f"{text} is no actor"]})
        return {"type": kind, "id": number, "name": number}

    def _detector(self, body: Any, project: str) -> dict[str, Any]:
        if project != self.project["slug"]:
            raise RefusedError(404, {"detail": "The requested resource does not exist"})
        ours = [each for each in self.held["detectors"].values() if each["type"] == "metric_issue"]
        if self.monitor_quota is not None and len(ours) >= self.monitor_quota:
            raise RefusedError(
                403, {"detail": f"Used {len(ours)}/{self.monitor_quota} of allowed metric_issue monitors."}
            )
        (source,) = body["data_sources"]
        keys = {"aggregate", "dataset", "environment", "event_types", "query", "query_type", "time_window"}
        conditions = body["condition_group"]["conditions"]
        right = (
            body["type"] == "metric_issue"
            and set(source) == keys
            and source["dataset"] == "events_analytics_platform"
            and source["event_types"] == ["trace_item_span"]
            and source["query_type"] == 1
            and source["time_window"] in (60, 300, 600, 900, 1800, 3600, 7200, 14400, 86400)
            and re.fullmatch(r"failure_rate\(\)|p95\(span\.duration\)", source["aggregate"])
            and body["config"] == {"detection_type": "static"}
            and 0 < len(conditions) <= 3
            and all(set(each) == {"type", "comparison", "condition_result"} for each in conditions)
            and all(each["type"] in ("gt", "lt", "gte", "lte") for each in conditions)
            and all(each["condition_result"] in (0, 50, 75) for each in conditions)
        )
        if not right:
            raise RefusedError(400, {"dataSources": ["Invalid monitor"]})
        query = camel(source)
        return {
            "name": body["name"], "type": body["type"], "projectId": self.project["id"], "enabled": body["enabled"],
            "description": body["description"], "owner": self._owner(body["owner"]), "config": camel(body["config"]),
            "dataSources": [{"id": "1", "type": "snuba_query_subscription", "queryObj": {"snubaQuery": query}}],
            "conditionGroup": camel(body["condition_group"]), "workflowIds": [],
        }  # fmt: skip

    def _workflow(self, body: Any) -> dict[str, Any]:
        strange = [each for each in body["detector_ids"] if str(each) not in self.held["detectors"]]
        types = {each["type"] for each in body["triggers"]["conditions"]}
        if strange or not types <= TRIGGERS or body["triggers"]["logic_type"] != "any-short":
            raise RefusedError(400, {"detail": f"no such detectors {strange} or triggers {types}"})
        if not 5 <= body["config"]["frequency"] <= 43200:
            raise RefusedError(400, {"config": "frequency"})
        for each in body["action_filters"]:
            if set(each) != {"logic_type", "conditions", "actions"} or not each["actions"]:
                raise RefusedError(400, {"actionFilters": "incomplete"})
            for condition in each["conditions"]:
                self._check_condition(condition)
            for action in each["actions"]:
                self._check_action(action)
        made = camel(body)
        # Sentry resolves channels, and stores them without `#`.
        for each in made["actionFilters"]:
            for action in each["actions"]:
                if action["type"] == "slack":
                    action["config"].update(
                        targetIdentifier="C012345", targetDisplay=action["config"]["targetDisplay"].lstrip("#")
                    )
        made["detectorIds"] = [str(each) for each in body["detector_ids"]]
        return made

    @staticmethod
    def _check_condition(condition: Any) -> None:
        comparison = condition["comparison"]
        right = condition["condition_result"] is True and (
            (condition["type"] == "tagged_event" and set(comparison) == {"key", "match", "value"})
            or (
                condition["type"] == "level"
                and comparison["level"] in (10, 20, 30, 40, 50)
                and comparison["match"] == "eq"
            )
        )
        if not right:
            raise RefusedError(400, {"conditions": [str(condition)]})

    def _check_action(self, action: Any) -> None:
        config, data = action["config"], action["data"]
        if set(action) != {"type", "integration_id", "config", "data", "status"} or set(config) != {
            "target_type", "target_identifier", "target_display"
        }:  # fmt: skip
            raise RefusedError(400, {"actions": [str(action)]})
        if action["type"] == "email":
            if config["target_type"] == "issue_owners":
                right = data.get("fallthrough_type") in ("AllMembers", "ActiveMembers", "NoOne")
            else:
                right = bool(self._owner(f"{config['target_type']}:{config['target_identifier']}"))
        else:
            account = {each["id"]: each for each in self.integrations}.get(action["integration_id"])
            right = (
                account is not None
                and account["provider"]["key"] == action["type"]
                and action["type"] in PROVIDERS
                and config["target_type"] == "specific"
                and isinstance(config["target_identifier"], str)
            )
            if action["type"] == "pagerduty":
                right = right and config["target_identifier"] == "7" and data == {"priority": "default"}
            if action["type"] == "opsgenie":
                right = right and config["target_identifier"] == "502-erp" and data == {"priority": "P3"}
        if not right:
            raise RefusedError(400, {"actions": [str(action)]})

    def _cron(self, body: Any) -> dict[str, Any]:
        config = body["config"]
        schedule = config["schedule"]
        right = (
            len(schedule.split()) == 5
            if config["schedule_type"] == "crontab"
            else len(schedule) == 2 and schedule[1] in ("minute", "hour", "day", "week", "month", "year")
        )
        if not right or body["project"] != self.project["slug"]:
            raise RefusedError(400, {"config": {"schedule": ["Schedule was not parseable"]}})
        whole = {"checkin_margin": None, "max_runtime": None, "timezone": None, **config}
        return {"name": body["name"], "slug": body["slug"], "status": body["status"], "config": whole,
                "owner": self._owner(body["owner"]), "isUpserting": False, "project": {"id": "42", "slug": "erp"}}  # fmt: skip

    def _dashboard(self, body: Any) -> dict[str, Any]:
        for widget in body["widgets"]:
            layout = widget["layout"]
            if layout["x"] + layout["w"] > 6 or not 1 <= (widget["limit"] or 1) <= 10:
                raise RefusedError(400, {"widgets": [widget["title"]]})
            for query in widget["queries"]:
                if not {"fields", "conditions"} <= set(query):
                    raise RefusedError(400, {"fields": "fields are required during creation."})
        made = camel(body)
        for widget in made["widgets"]:
            self._next += 1
            widget.update(id=str(self._next), description=None, thresholds=None, dateCreated="2026-11-28T00:00:00Z")
        return {"filters": {}, "permissions": None, **made}
