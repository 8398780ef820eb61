"""`requires:` against what is installed. The only file that imports packaging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base import places
from ..base.errors import ConfigError

#: Programs that also run from their source tree, which no metadata describes.
_FROM_SOURCE = ("frappe", "odoo")


class RequirementError(ValueError):
    pass


def parse_requirement(text: str) -> Any:
    """A `packaging` Requirement. Raises RequirementError."""
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:
        raise ConfigError("`requires` needs packaging, which this Python does not have: "
                          "python -m pip install packaging") from None  # fmt: skip
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise RequirementError(str(error).splitlines()[0]) from None
    if any(
        type(part).__name__ != "Specifier" for part in requirement.specifier
    ):  # packaging 21 reads nonsense as legacy
        raise RequirementError("the versions cannot be read")
    if requirement.url:
        raise RequirementError("a URL cannot be required, only a distribution and its versions")
    return requirement


def unmet(requirement: Any, path: Sequence[str] | None = None) -> str:
    """Why an environment does not meet a requirement, in words; "" where it does.

    `path` holds the folders of another environment than the running one; only their metadata is read.
    """
    if path is None and places.made_for:
        path = places.made_for[2]
    try:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            return f"the condition `{requirement.marker}` does not hold here"
        version = _version(requirement.name, path)
    except installed().PackageNotFoundError:
        return f"{requirement.name} is not installed"
    except Exception as error:
        return f"the installed {requirement.name} cannot be read: {error}"
    if not version:  # None where the metadata is broken
        return f"the installed {requirement.name} has no version"
    try:
        met = requirement.specifier.contains(version, prereleases=True)
    except Exception:
        return f"the version {version} of {requirement.name} cannot be compared"
    return "" if met else f"{requirement.name} {version} is installed"


def installed_version(name: str) -> str:
    """Of a distribution, in the environment that the plan is for; "" where it is not installed."""
    try:
        return _version(name, places.made_for[2] if places.made_for else None) or ""
    except Exception:  # damaged metadata
        return ""


def unmet_requirements(requires: object, path: Sequence[str] | None = None) -> str:
    """Why none of what `requires` names, a text or a list of them, is met; "" where one is. Raises RequirementError."""
    listed = [requires] if isinstance(requires, str) else requires if isinstance(requires, list) else []
    texts = [text for text in listed if isinstance(text, str) and text]
    reasons = []
    for text in texts:
        reason = unmet(parse_requirement(text), path)
        if not reason:
            return ""
        reasons.append(f"`{text}`: {reason}")
    return ", or ".join(reasons)


def of_a_source_tree(requires: object, path: Sequence[str] | None = None) -> str | None:
    """What of `requires` is compared once the program is imported (`hook.targets.versions`): it is not installed here,
    but may run from its source tree. None: nothing.
    """
    for text in [requires] if isinstance(requires, str) else requires if isinstance(requires, list) else []:
        name = parse_requirement(text).name.lower()
        if name in _FROM_SOURCE and unmet(parse_requirement(name), path):
            return str(text)
    return None


def installed() -> Any:
    """The back-port where it is installed: it reads what the standard library's of Python 3.9 stumbles over."""
    try:
        import importlib_metadata
    except ImportError:
        from importlib import metadata

        return metadata
    return importlib_metadata


def _version(name: str, path: Sequence[str] | None) -> Any:
    """None where the metadata is broken. Raises PackageNotFoundError."""
    metadata = installed()
    if path is None:
        return metadata.version(name)
    for distribution in metadata.distributions(name=name, path=list(path)):
        return distribution.version
    raise metadata.PackageNotFoundError(name)
