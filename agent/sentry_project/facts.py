"""What the compiled configuration holds about the ERP's modules, and which data reach Sentry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..base.errors import ConfigError
from ..base.model import MonitorData, ProjectData, SentryData
from ..config.build.inherit import ladder
from ..config.build.merge import Settings
from ..config.load import examine
from ..language import units
from ..language.dsn import DsnError, parse_dsn

#: Where Sentry is if neither the file nor a DSN gives an address.
SAAS = "https://sentry.io"


class Module(NamedTuple):
    name: str
    description: str
    owner: str | None
    threshold: float | None  # seconds, of its own `defaults` or the file's
    operations: dict[str, float]  # operation → seconds, of those that have a threshold of their own
    kinds: frozenset[str]
    packages: tuple[str, ...]  # the top-level Python packages that its monitors name


class Facts(NamedTuple):
    project: ProjectData
    sentry: SentryData
    modules: list[Module]

    @property
    def url(self) -> str:
        return address(self.project, self.sentry["dsn"])

    @property
    def traced(self) -> bool:
        """Whether a share of all calls becomes spans. Kept traces of slow requests alone would give wrong figures."""
        return self.sentry["traces_sample_rate"] > 0 and self.sentry["tracing"] != "off"

    @property
    def counted(self) -> bool:
        """Whether the counts of calls are sent."""
        return self.sentry["metrics"]

    def has(self, part: str) -> bool:
        return self.project["manage"] is None or part in self.project["manage"]


def address(project: ProjectData, dsn: str | None) -> str:
    """Sentry's own address: as configured, else that of the DSN. `o1.ingest.de.sentry.io` receives for de.sentry.io."""
    if project["url"]:
        return project["url"]
    try:
        parsed = parse_dsn(dsn or "")
    except DsnError:
        return SAAS
    if parsed.host == "sentry.io" or parsed.host.endswith(".sentry.io"):
        region = parsed.host[: -len("sentry.io")].rstrip(".").rpartition("ingest")[2].strip(".")
        return f"https://{region}.sentry.io" if region in ("us", "de") else SAAS
    return f"{parsed.scheme}://{parsed.address}{parsed.path}"


def read(path: str, environ: Mapping[str, str]) -> Facts:
    """Raises ConfigError where the file cannot be used, or has no `sentry.project`."""
    examined = examine(path, environ)
    if examined.plan is None or examined.settings is None:
        first = next((each for each in examined.problems if each.severity == "error"), None)
        why = f"{first.path}: {first.message}" if first is not None else "it cannot be used"
        raise ConfigError(f"{path}: {why}; see: python -m agent validate")
    sentry = examined.plan["sentry"]
    project = sentry["project"]
    if project is None:
        wrong = next((each for each in examined.problems if each.path.startswith("sentry › project")), None)
        if wrong is not None:
            raise ConfigError(f"{path}:{wrong.line}: {wrong.path}: {wrong.message}; see: python -m agent validate")
        raise ConfigError(
            f"{path} does not name the project of Sentry: add "
            "`sentry: {project: {organization: SLUG, project: SLUG}}`"
        )
    own = {monitor["name"]: _own_threshold(entry.value) for entry, monitor in examined.built if not entry.pack}
    monitors = examined.plan["monitors"]
    named: dict[str, list[MonitorData]] = {}
    for monitor in monitors:
        if monitor["module"]:
            named.setdefault(monitor["module"], []).append(monitor)
    order = [*(name for name in examined.settings.modules if name in named), *named]
    return Facts(project, sentry, [_module(name, named[name], own, examined.settings) for name in dict.fromkeys(order)])


def _module(name: str, monitors: list[MonitorData], own: Mapping[str, bool], settings: Settings) -> Module:
    declared = [placed.value for placed in settings.module(name)]
    description = next((str(each["description"]) for each in declared if each.get("description")), "")
    defaults = [each["defaults"] for each in declared if isinstance(each.get("defaults"), dict)]
    whole = {key: placed.value for key, placed in settings.defaults.items()}
    return Module(
        name,
        description,
        next((monitor["owner"] for monitor in monitors if monitor["owner"]), None),
        next((found for found in map(_threshold, [*defaults, whole]) if found is not None), None),
        {
            monitor["operation"]: monitor["thresholds"][0][0]
            for monitor in monitors
            if own.get(monitor["name"]) and monitor["thresholds"] and "{" not in monitor["operation"]
        },
        frozenset(monitor["kind"] for monitor in monitors),
        tuple(dict.fromkeys(_packages(monitors))),
    )


def _packages(monitors: Iterable[MonitorData]) -> Iterable[str]:
    for monitor in monitors:
        for target in monitor["targets"]:
            yield target["path"].partition(".")[0].partition(":")[0]


def _own_threshold(written: Mapping[str, object]) -> bool:
    return "threshold" in written or "thresholds" in written


def _threshold(defaults: Mapping[str, object]) -> float | None:
    """The mildest step; None where there is none, or where it is learned."""
    try:
        steps = ladder(defaults.get("thresholds", defaults.get("threshold")))
    except units.UnitError:
        return None  # `validate` reports it
    return steps[0][0] if steps else None
