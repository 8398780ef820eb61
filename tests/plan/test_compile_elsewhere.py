"""What the compiling process is given is given to it alone, and what it writes is read whoever else has the pipe."""

import os
import signal

import pytest

from agent.plan import compile_elsewhere


@pytest.fixture
def path(tmp_path):
    config = tmp_path / "monitors.yaml"
    config.write_text("version: 1\nmodules: {m: {}}\nmonitors: [{target: a.b, module: m, operation: op}]\n")
    return str(config)


def inheritable():
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found += [int(name)] if os.get_inheritable(int(name)) else []
        except OSError:
            pass  # that of the listing
    return sorted(found)


@pytest.mark.parametrize("closed", [(), (0,), (1, 2), (0, 1, 2)], ids=str)
def test_no_other_child_of_the_hosts_could_have_its_descriptors(path, monkeypatch, closed):
    spawn, seen = os.posix_spawn, []

    def watched(*arguments, **options):
        seen.append(inheritable())
        return spawn(*arguments, **options)

    monkeypatch.setattr(os, "posix_spawn", watched)
    kept = {number: os.dup(number) for number in closed}
    for number in closed:
        os.close(number)
    try:
        before = inheritable()
        made = compile_elsewhere.run(path)
        after = inheritable()
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
    assert isinstance(made, bytes), made
    assert seen == [before] == [after]


def test_a_child_that_the_host_forks_meanwhile_holds_up_nothing(path, monkeypatch):
    """It has the pipe's other end, whose closing would be the end of what is read."""
    spawn, forked = os.posix_spawn, []

    def beside(*arguments, **options):
        forked.append(os.fork())
        if not forked[0]:
            signal.pause()
        return spawn(*arguments, **options)

    monkeypatch.setattr(os, "posix_spawn", beside)
    monkeypatch.setattr(compile_elsewhere, "PATIENCE", 20.0)
    try:
        made = compile_elsewhere.run(path)
    finally:
        os.kill(forked[0], signal.SIGKILL)
        os.waitpid(forked[0], 0)
    assert isinstance(made, bytes), made
