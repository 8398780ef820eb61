"""Print what a checkout needs, one requirement a line, for `pip install -r`: the runtime dependencies and one extra.

`python .ci/requirements.py dev` is for the main environment, `test` for those of the other interpreters. Both lists
are in pyproject.toml and nowhere else. `pip install .[dev]` would install the agent too: it runs from the checkout.
With `oldest` alone, the runtime dependencies are printed in the oldest releases that the metadata allows.
"""

from __future__ import annotations

import os
import re
import sys

try:
    import tomllib
except ImportError:  # before Python 3.11: the copy that pip contains
    from pip._vendor import tomli as tomllib

PROJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "pyproject.toml")
#: What cannot be built any more, or was withdrawn: there, the oldest release that can be installed.
NO_OLDER = {"pyyaml": "6.0.1", "jsonschema": "4.0.1"}


def requirements(extra: str = "") -> list[str]:
    with open(PROJECT, "rb") as file:
        project = tomllib.load(file)["project"]
    return [*project["dependencies"], *(_extra(project, extra) if extra else [])]


def oldest() -> list[str]:
    found = []
    for each in requirements():
        name, release = re.fullmatch(r"([\w-]+)>=([\d.]+)", each).groups()
        found.append(f"{name}=={NO_OLDER.get(name, release)}")
    return found


def _extra(project: dict, extra: str) -> list[str]:
    """The requirements of an extra. One extra may contain another: `erp-sentry-agent[test]`."""
    found = []
    for each in project["optional-dependencies"][extra]:
        contained = re.fullmatch(re.escape(project["name"]) + r"\[(.+)\]", each)
        found += _extra(project, contained[1]) if contained else [each]
    return found


if __name__ == "__main__":
    print("\n".join(oldest() if sys.argv[1] == "oldest" else requirements(sys.argv[1])))
