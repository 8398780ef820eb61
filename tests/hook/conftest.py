"""Both ways in which a function is patched; `pytestmark = pytest.mark.usefixtures("how")` runs a file's tests in each."""

import sys

import pytest

from agent.hook.code import inject


@pytest.fixture(params=["injected", "trampoline"])
def how(request, monkeypatch):
    if request.param == "trampoline":
        monkeypatch.setattr(inject, "AVAILABLE", False)
    elif not inject.AVAILABLE:
        pytest.skip("this interpreter's bytecode is not injected into")
    before = set(sys.modules)
    yield request.param
    for name in set(sys.modules) - before:
        if name.startswith("shop"):
            del sys.modules[name]
