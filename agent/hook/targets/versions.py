"""The version of a program that runs from its source tree, which no installed metadata describes."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...base.model import MonitorData

_COMPARE = {
    ">=": lambda here, other: here >= other,
    "<=": lambda here, other: here[: len(other)] <= other,
    "==": lambda here, other: here[: len(other)] == other,
    "!=": lambda here, other: here[: len(other)] != other,
    ">": lambda here, other: here[: len(other)] > other,
    "<": lambda here, other: here < other,
}


def fits(monitor: "MonitorData") -> bool:
    """Does the imported program have the version that the monitor is for? True where that cannot be found out."""
    requirement = monitor["source"]
    if requirement is None:
        return True
    end = next((at for at, letter in enumerate(requirement) if letter in "<>=! "), len(requirement))
    here = _version(requirement[:end])
    for part in requirement[end:].replace(" ", "").split(",") if here else ():
        operator = part[:2] if part[1:2] == "=" else part[:1]
        compare, other = _COMPARE.get(operator), _numbers(part[len(operator) :])
        if compare is not None and other and not compare(here, other):
            return False
    return True


def _version(name: str) -> "tuple[int, ...]":
    """As the program itself states it: `NAME.release.version_info`, or `NAME.__version__`."""
    stated = getattr(sys.modules.get(name + ".release"), "version_info", None)
    if type(stated) is tuple:
        return _numbers(".".join([str(each).rpartition("~")[2] for each in stated]))  # saas~17
    stated = getattr(sys.modules.get(name), "__version__", None)
    return _numbers(stated) if type(stated) is str else ()


def _numbers(version: str) -> "tuple[int, ...]":
    found = []
    for part in version.split("."):
        if not part.isdigit():
            break
        found.append(int(part))
    return tuple(found)
