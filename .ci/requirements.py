"""Print what a checkout needs, one requirement a line, for `pip install -r`: the runtime dependencies and one extra.

`python .ci/requirements.py dev` is for the main environment, `test` for those of the other interpreters. Both lists
are in pyproject.toml and nowhere else. `pip install .[dev]` would install the agent too: it runs from the checkout.
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


def requirements(extra: str) -> list[str]:
    with open(PROJECT, "rb") as file:
        project = tomllib.load(file)["project"]
    return [*project["dependencies"], *_extra(project, extra)]


def _extra(project: dict, extra: str) -> list[str]:
    """The requirements of an extra. One extra may contain another: `erp-sentry-agent[test]`."""
    found = []
    for each in project["optional-dependencies"][extra]:
        contained = re.fullmatch(re.escape(project["name"]) + r"\[(.+)\]", each)
        found += _extra(project, contained[1]) if contained else [each]
    return found


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1])))
