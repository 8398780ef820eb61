"""Splits a target's dotted path into the module and the attribute in it."""

from ...base.wildcards import segment_match

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...base.model import TargetData

#: Where libraries run the functions of tasks: monitors of these targets count for each such function, and not for the
#: library's own, as `integrations/tasks` finds it.
OF_TASKS = frozenset((
    ("rq.job", "Job.perform"),
    ("dramatiq.actor", "Actor.__call__"),
    ("huey.api", "Task.execute"),
    ("django_q.worker", "worker"),
    ("apscheduler.executors.base", "run_job"),
))  # fmt: skip


def attribute_in(module: str, target: "TargetData") -> "str | None":
    """Return the part of a target that would be an attribute of `module`; None if the target cannot be in it."""
    if target["module"] is not None:
        return target["attribute"] if target["module"] == module else None
    path = target["path"]
    return path[len(module) + 1 :] if path.startswith(module + ".") else None


def pattern_in(module: str, target: "TargetData") -> "list[str] | None":
    """Return the segments of a pattern that apply to attributes of `module`; None where its name does not match."""
    if target["module"] is not None:
        return (target["attribute"] or "").split(".") if segment_match(target["module"], module) else None
    segments = target["path"].split(".")
    names = module.split(".")
    if len(segments) <= len(names):
        return None
    if all(segment_match(pattern, name) for pattern, name in zip(segments, names)):
        return segments[len(names) :]
    return None
