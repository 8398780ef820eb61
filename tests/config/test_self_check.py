"""The check of a Python that the agent was not tested with: here, it finds nothing, and it finds what is wrong."""

from agent.boot import untested
from agent.config import child, self_check
from agent.hook.code import trampoline
from agent.plan import index


def test_this_python_runs_monitored_functions_the_same():
    assert self_check.difference() == ""


def test_a_trampoline_that_does_something_else_is_found(monkeypatch):
    monkeypatch.setattr(trampoline, "_templates", {})
    plain = trampoline._plain
    bodies = {**trampoline._BODIES, "function": lambda *given: [*plain(*given), "return None"][-1:]}
    monkeypatch.setattr(trampoline, "_BODIES", bodies)
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
    assert isinstance(index.decode(child.compiled(path), path), index.Index)
