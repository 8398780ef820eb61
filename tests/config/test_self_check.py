"""The check of a Python that the agent was not tested with: here, it finds nothing, and it finds what is wrong."""

import _imp
import os
import sys
import types

import pytest

from agent.boot import untested
from agent.config import child, self_check
from agent.hook.code import inject, operations, trampoline
from agent.plan import index


def test_this_python_runs_monitored_functions_the_same():
    assert self_check.difference() == ""


def test_a_trampoline_that_does_something_else_is_found(monkeypatch):
    monkeypatch.setattr(trampoline, "templates", {})
    plain = trampoline.BODIES["function"]
    bodies = {**trampoline.BODIES, "function": lambda *given: [*plain(*given), "return None"][-1:]}
    monkeypatch.setattr(trampoline, "BODIES", bodies)
    assert self_check.difference() == "a function that returns does not do the same"


def test_a_trampoline_that_cannot_be_made_is_found(monkeypatch):
    def refuse(*_):
        raise ValueError("no such operation")

    monkeypatch.setattr(trampoline, "build", refuse)
    assert self_check.difference() == "returns cannot be patched: ValueError: no such operation"


def test_an_unfit_python_gets_no_plan_and_a_tested_one_is_not_checked(write, tmp_path, monkeypatch):
    path = write("version: 1\nmonitors:\n  - target: shop.f\n")
    monkeypatch.setenv("AGENT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(self_check, "difference", lambda: "a function that returns does not do the same")
    assert isinstance(index.decode(child.compiled(path), path), index.Index) is not untested.UNTESTED
    monkeypatch.setattr(untested, "UNTESTED", True)
    bad = index.decode(child.compiled(path), path)
    assert isinstance(bad, index.Bad)
    assert bad.lacking  # reported once, not in every process
    assert "was not tested with this release, and with a monitor a function that returns" in bad.problems[0]
    monkeypatch.setattr(self_check, "difference", lambda: "")
    for injects in (True, False):
        monkeypatch.setattr(self_check, "injects", lambda injects=injects: injects)
        assert index.decode(child.compiled(path), path).injects is injects


injecting = pytest.mark.skipif(
    not inject.AVAILABLE or sys.version_info < (3, 11), reason="no version like this will come"
)


@injecting
def test_code_within_functions_is_tried(monkeypatch):
    made, original = [], inject.inject

    def injected(code, features, values):
        found = original(code, features, values)
        made.append((code.co_name, found is not None))
        return found

    monkeypatch.setattr(inject, "inject", injected)
    assert self_check.difference(within=True) == ""
    assert {name for name, done in made if done} == {"_returns", "method", "child", "_fails", "_yields", "_waits"}
    monkeypatch.setattr(inject, "inject", lambda code, *_: code.replace(co_consts=(*code.co_consts[:-1], 7)))
    assert self_check.difference(within=True).startswith("a function that ")
    assert not self_check.injects()


@injecting
def test_it_is_tried_in_a_process_that_may_crash(monkeypatch):
    assert self_check.injects()
    monkeypatch.setattr(self_check, "difference", lambda within: os.kill(os.getpid(), 9))
    assert not self_check.injects()


@injecting
def test_with_other_opcodes_it_is_not_tried(monkeypatch):
    table = {**operations.OPS, "POP_TOP": 255, "caches": {}}
    monkeypatch.setattr(operations, "OPS", table)
    assert self_check.unlike()[0] == "POP_TOP"
    assert len(self_check.unlike()) > 1
    monkeypatch.setattr(os, "fork", None)
    assert not self_check.injects()


@pytest.mark.parametrize(
    "version, magic, known",
    [((3, 14, 9), 1, True), ((3, 15, 0), 3666, True), ((3, 15, 0), 3665, False), ((3, 16, 0), 3666, False)],
)
def test_a_prerelease_with_other_bytecode_is_untested(version, magic, known, monkeypatch):
    monkeypatch.setattr(untested, "sys", types.SimpleNamespace(version_info=version))
    monkeypatch.setattr(_imp, "pyc_magic_number_token", magic | 0x0A0D0000, raising=False)
    assert untested.is_known() is known


@injecting
def test_an_untested_python_is_injected_into_after_a_check_only(monkeypatch):
    monkeypatch.setattr(inject, "AVAILABLE", True)
    assert untested.settle(False) == []
    assert inject.AVAILABLE
    monkeypatch.setattr(untested, "UNTESTED", True)
    assert untested.settle(True)[0].endswith("functions are monitored as on tested versions, after a check")
    assert inject.AVAILABLE
    assert untested.settle(False)[0].endswith("functions are monitored with trampolines")
    assert not inject.AVAILABLE
