"""The configuration: which file, why that one, who can read it, whether it is right and in force."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ...base.errors import AgentError
from ...base.model import Problem
from ...config.load import examine
from ..findings import summary
from ..options import UNREADABLE
from ..state.other_folders import user_name
from ..state.plans import Plans
from ..terminal import counted, shown_path
from .finding import FAIL, OK, SKIPPED, WARN, Finding
from .installation import Installation, named
from .permissions import may


def check(installation: Installation) -> Iterator[Finding]:
    path = installation.config
    if not os.path.exists(path):
        yield Finding("configuration-missing", FAIL, "there is no configuration", f"{path} ({installation.why})",
                      "set AGENT_CONFIG to yours, or write one: python -m agent init")  # fmt: skip
        return
    readers = {process.owner for process in installation.erp} | {os.geteuid() if hasattr(os, "geteuid") else 0}
    blind = sorted(user_name(each) for each in readers if not may(each, path, 4))
    if blind:
        yield Finding("configuration-unreadable", FAIL, "not every user of the ERP may read the configuration",
                      f"{path}: not readable for {', '.join(blind)}",
                      f"let them read {path} and enter the folders above it")  # fmt: skip
    else:
        yield Finding("configuration", OK, "the configuration was found and is readable", f"{path}, {installation.why}")
    yield _valid(path)
    yield from _in_force(installation)


def _valid(path: str) -> Finding:
    command = f"python -m agent validate {shown_path(path)}"
    try:
        result = examine(path, os.environ)
    except AgentError as error:
        return Finding("configuration-unchecked", SKIPPED, "the configuration could not be checked", str(error),
                       "install what is missing into the interpreter that runs doctor")  # fmt: skip
    wrong = [each for each in result.problems if each.severity == "error"]
    if any(each.slug in UNREADABLE and each.file == path for each in wrong):
        return Finding("configuration-unreadable", FAIL, "the configuration cannot be read", path,
                       "let the user who runs this read it")  # fmt: skip
    if not wrong:
        words = summary([result])
        warned = [each for each in result.problems if each.severity == "warning"]
        if warned:
            words = f"{_place(warned[0])}: {warned[0].message}" if len(warned) == 1 else words
            return Finding("configuration-warnings", WARN, "the configuration has warnings", words, command)
        return Finding("configuration-valid", OK, "the configuration is valid", words)
    first = wrong[0]
    what = "parts of it do not count" if result.plan is not None else "nothing of it counts"
    return Finding("configuration-invalid", FAIL, f"the configuration has {counted(len(wrong), 'error')}",
                   f"{what}; the first is {_place(first)}", command)  # fmt: skip


def _place(problem: Problem) -> str:
    return f"{shown_path(problem.file)}:{problem.line} [{problem.slug}]"


def _in_force(installation: Installation) -> Iterator[Finding]:
    try:
        plans = Plans(installation.state, installation.config)
    except AgentError as error:
        yield Finding("plan-unknown", SKIPPED, "the compiled plan cannot be read", str(error))
        return
    running = [process for process in installation.erp if process.reported is not None]
    older = [process for process in running if process.reported is not None and plans.is_older(process.reported)]
    if older:
        yield Finding("plan-older", WARN,
                      f"{counted(len(older), 'process runs', 'processes run')} an older plan than the file's",
                      named(older), "python -m agent reload; restart those that it names")  # fmt: skip
    elif running:
        yield Finding("plan-in-force", OK, "all processes that have reported in run the plan of the file")
    if plans.index is None:
        yield Finding("plan-missing", SKIPPED, "no plan is compiled yet for this interpreter and environment",
                      "the first process that starts with the agent compiles it",
                      "run doctor with the ERP's own interpreter to see its plan")  # fmt: skip
    elif not older and plans.age(plans.index) != "up to date":
        yield Finding("plan-stale", OK, "the plan on disk is older than the configuration", plans.age(plans.index),
                      "the next process that starts compiles it")  # fmt: skip
