"""The keys of a monitor, in one table, and the maker of a monitor that has the default of each.

The compiler, decorators, `list`, `explain` and the tests read this table, in this order. A new key is a row here, its
schema, its field in `MonitorData`, and the code that uses it.
"""

from typing import Any, Optional, cast

from ..base.model import MonitorData
from ..base.records import Record

DEFAULT_RATE_LIMIT = (30.0, 60.0)
DEFAULT_BUDGET = 0.01

#: The reports that `repeat_interval` applies to, and those of them for which packs have one.
REPEATING = ("error", "slow", "rule", "repeats")
PACKS_REPEAT = dict.fromkeys(REPEATING[1:], 600.0)

#: Built in for a kind, in place of the default of the key.
KIND_SEVERITY = {"security": "warning"}
KIND_THRESHOLD = {"api": 5.0, "database": 1.0}


class MonitorKey(Record):
    name: str  # in monitors.yaml, and in MonitorData unless `field` differs
    value: str  # the kind of value: flag, fraction, text, texts, or one of those in `spelled`
    default: Any = None  # in MonitorData
    inherited: bool = False  # from the defaults of modules, packs and files
    kind: str = ""  # the only kind of monitor that has this key; its value is in `detail`
    mention: str = ""  # how `list` mentions a value that is not the default
    off: str = ""  # how `explain` spells that there is none
    field: Optional[str] = ""  # in MonitorData, where the name differs; None: the plan does not carry it
    adds: bool = False  # to what is inherited, which the plan has in one place for all monitors


KEYS = (
    MonitorKey("name", "text", ""),
    MonitorKey("kind", "text", "function"),
    MonitorKey("module", "text"),
    MonitorKey("owner", "text"),  # of the module: a monitor has none of its own
    MonitorKey("operation", "text", "{name}"),
    MonitorKey("model", "text", kind="database"),
    MonitorKey("process", "text", kind="business"),
    MonitorKey("endpoint", "text", kind="api"),
    MonitorKey("event_type", "text", kind="security"),
    MonitorKey("severity", "text", "error", inherited=True),
    MonitorKey("threshold", "ladder", [], inherited=True, off="off", field="thresholds"),
    MonitorKey("stuck", "duration", inherited=True, mention="stuck after {value}"),
    MonitorKey("repeats", "number", inherited=True, mention="at most {value} times"),
    MonitorKey("rules", "rules", [], mention="{number} rule{s}"),
    MonitorKey("capture", "expressions", {}, mention="captures {names}"),
    MonitorKey("expect", "texts", [], inherited=True, adds=True, mention="expects {number}"),
    MonitorKey("ignore_errors", "texts", [], inherited=True, adds=True, mention="ignores {number}"),
    MonitorKey("escalate", "rate", inherited=True, mention="escalates over {value}"),
    MonitorKey("errors", "graded", {}, inherited=True, adds=True, mention="grades {number}"),
    MonitorKey("unless", "expression", mention="unless {value}"),
    MonitorKey("audit", "audit", "", mention="audits ({value})"),
    MonitorKey("sample", "fraction", 1.0, inherited=True, mention="sample {value}"),
    MonitorKey("span", "text", "auto", inherited=True, mention="span {value}"),
    MonitorKey("budget", "share", DEFAULT_BUDGET, inherited=True, mention="budget {value}", off="off"),
    MonitorKey("metrics", "flag", True, inherited=True, mention="not counted"),
    MonitorKey("exception_text", "flag", True, mention="withholds exception texts"),
    MonitorKey("quiet_inside", "texts", [], mention="quiet inside {value}"),
    MonitorKey("subclasses", "flag", False, mention="subclasses"),
    MonitorKey("exclude", "texts", []),
    MonitorKey("tags", "tags", {}),
    MonitorKey("fingerprint", "texts"),
    MonitorKey("rate_limit", "rate", DEFAULT_RATE_LIMIT, inherited=True, off="off"),
    MonitorKey("repeat_interval", "intervals", {}, inherited=True, mention="equal ones after {value}"),
    MonitorKey("target", "targets", [], field="targets"),
    MonitorKey("requires", "texts", field=None),
    MonitorKey("environments", "texts", field=None),
    MonitorKey("enabled", "flag", field=None),
)  # fmt: skip

INHERITED = tuple(key.name for key in KEYS if key.inherited)
#: Keys that only one kind of monitor has.
KIND_OF = {key.name: key.kind for key in KEYS if key.kind}
#: Keys whose values are numbers or true/false.
TYPED = frozenset(key.name for key in KEYS if key.value in ("flag", "fraction", "audit", "number"))

_DEFAULTS: "dict[str, Any]" = {
    "where": "",
    "detail": {},
    "live": False,
    "line": None,
    "source": None,
    "learn": None,
    "span_data": None,
    "learned": {},
    **{key.field or key.name: key.default for key in KEYS if key.field is not None and not key.kind},
}


def plain_monitor(**changes: Any) -> MonitorData:
    """A monitor that has the default of each field but `changes`. Raises TypeError for a field that there is not."""
    made = {**_DEFAULTS, **changes}
    if len(made) > len(_DEFAULTS):
        raise TypeError(f"a monitor has no {', '.join(changes.keys() - _DEFAULTS.keys())}")
    for field, value in made.items():
        if value.__class__ is list or value.__class__ is dict:
            made[field] = value.copy()
    return cast("MonitorData", made)
