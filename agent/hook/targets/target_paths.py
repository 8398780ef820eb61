"""Which part of a target's dotted path names a module, and which what is in it."""

from ...base.wildcards import segment_match

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...base.model import TargetData


def attribute_in(module: str, target: "TargetData") -> "str | None":
    """The part of a target that would be an attribute of `module`; None if the target cannot lie there."""
    if target["module"] is not None:
        return target["attribute"] if target["module"] == module else None
    path = target["path"]
    return path[len(module) + 1 :] if path.startswith(module + ".") else None


def pattern_in(module: str, target: "TargetData") -> "list[str] | None":
    """The segments of a pattern that are left for the attributes of `module`; None where its name does not match."""
    if target["module"] is not None:
        return (target["attribute"] or "").split(".") if segment_match(target["module"], module) else None
    segments = target["path"].split(".")
    names = module.split(".")
    if len(segments) <= len(names):
        return None
    if all(segment_match(pattern, name) for pattern, name in zip(segments, names)):
        return segments[len(names) :]
    return None
