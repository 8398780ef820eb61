"""A running process finds out that its configuration has changed, and what another process made of it."""

import os

import pytest

from agent.base import places
from agent.config import child
from agent.plan import compile_elsewhere, in_force, reread
from agent.plan import index as plan_index

BEGIN = "version: 1\nmodules: {sales: {}}\nmonitors:\n"
ORDER = '  - {target: shop.order, module: sales, operation: "%s"}\n'


class Config:
    """A configuration in force, and a compiler that runs when a test calls it."""

    def __init__(self, folder, monkeypatch):
        self.path, self.state = str(folder / "monitors.yaml"), str(folder / "state")
        self.started = []
        monkeypatch.setattr(compile_elsewhere, "start", self._start)
        self.write("order")
        index = in_force.keep(child.compiled(self.path), self.path, self.state, None)
        self.reread = reread.Reread(self.path, index.header, index.identity)

    def _start(self, path, state, variables):
        self.started.append((path, state, dict(variables)))
        return ""

    def write(self, operation, more=""):
        with open(self.path, "w", encoding="utf-8") as stream:
            stream.write(BEGIN + ORDER % operation + more)
        stamp = os.stat(self.path).st_mtime_ns - 10**9 * (10 + len(getattr(self, "started", ())))
        os.utime(self.path, ns=(stamp, stamp - len(operation)))

    def compile(self):
        child.keep(self.path, self.state)

    def look(self):
        return self.reread.look(self.state)


@pytest.fixture
def config(tmp_path, monkeypatch):
    return Config(tmp_path, monkeypatch)


def operations(index):
    return [monitor["operation"] for monitor in index.all_monitors()]


def test_nothing_is_new_while_nothing_changes(config):
    assert config.look() is None
    assert not config.started


def test_a_change_is_compiled_once_and_found_once(config):
    config.write("sell")
    assert config.look() is None
    assert config.look() is None
    assert [path for path, _, _ in config.started] == [config.path]
    config.compile()
    assert operations(config.look()) == ["sell"]
    assert config.reread.was_first
    assert config.look() is None


def test_what_another_process_compiled_is_found_without_compiling(config):
    config.write("sell")
    config.compile()
    assert operations(config.look()) == ["sell"]
    assert not config.reread.was_first
    assert not config.started


def test_errors_are_found_once_and_so_is_what_mends_them(config):
    config.write("order", "]")
    config.look()
    config.compile()
    bad = config.look()
    assert isinstance(bad, plan_index.Bad)
    assert "YAML" in bad.problems[0]
    assert config.look() is None
    config.write("orders")
    config.compile()
    assert operations(config.look()) == ["orders"]


def test_a_file_that_is_saved_without_a_change_is_no_other_plan(config):
    os.utime(config.path, (1, 1))
    assert config.look() is None
    config.compile()
    assert config.look() is None
    assert config.look() is None
    assert len(config.started) == 1


def test_what_could_not_be_used_is_found_again(config):
    config.write("sell")
    config.compile()
    assert config.look() is not None
    config.reread.again()
    assert operations(config.look()) == ["sell"]


def test_a_change_while_the_compiler_runs_is_compiled_too(config):
    config.write("sell")
    config.look()
    config.write("resell")
    config.look()
    assert len(config.started) == 2


def test_while_another_process_compiles_none_is_started(config, monkeypatch):
    tries = []

    def busy(*_):
        tries.append(1)
        raise BlockingIOError

    monkeypatch.setattr(compile_elsewhere, "start", busy)
    config.write("sell")
    assert config.look() is None
    assert config.look() is None
    assert len(tries) == 2


def test_variables_count_as_they_were_when_the_process_started(config, monkeypatch):
    monkeypatch.setenv("OPERATION", "first")
    config.write("${OPERATION}")
    config.compile()
    index = config.look()
    assert operations(index) == ["first"]
    mine = reread.Reread(config.path, index.header, index.identity)
    monkeypatch.setenv("OPERATION", "changed by the host")
    config.write("${OPERATION}-2")
    mine.look(config.state)
    assert config.started[-1][2]["OPERATION"] == "first"
    config.compile()  # for a process that was started with the other value
    assert mine.look(config.state) is None
    monkeypatch.setenv("OPERATION", "first")
    config.compile()
    monkeypatch.setenv("OPERATION", "changed by the host")
    assert operations(mine.look(config.state)) == ["first-2"]


def test_why_it_cannot_be_compiled_is_raised(config, monkeypatch):
    monkeypatch.setattr(compile_elsewhere, "start", lambda *_: "no interpreter was found")
    config.write("sell")
    with pytest.raises(OSError, match="no interpreter"):
        config.look()
    assert config.look() is None


def test_the_compiler_reads_again_what_changed_while_it_read(tmp_path, monkeypatch):
    path = tmp_path / "monitors.yaml"
    path.write_text(BEGIN + ORDER % "first")
    examine, reads = child.examine, []

    def slowly(*given, **more):
        loaded = examine(*given, **more)
        reads.append(1)
        if len(reads) == 1:
            path.write_text(BEGIN + ORDER % "second")
        else:
            os.utime(path, (1, 1))
        return loaded

    monkeypatch.setattr(child, "examine", slowly)
    index = plan_index.decode(child.compiled(str(path)), str(path))
    assert operations(index) == ["second"]
    assert places.unchanged(index.header)


def test_a_compiler_that_was_killed_is_followed_by_another_and_later_by_the_next(config, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(reread, "monotonic", lambda: now[0])
    config.write("sell")
    started = []
    for _ in range(40):
        config.look()
        started.append(len(config.started))
        now[0] += 1.0
    assert [started.index(number) for number in (1, 2, 3, 4, 5)] == [0, 2, 6, 14, 30]
    config.write("resell")
    config.look()
    assert len(config.started) == 6
    config.compile()
    assert operations(config.look()) == ["resell"]
