"""`migrate`: each folder of cases/ is source of an ERP, with the configuration and the remarks that it gives."""

from __future__ import annotations

import ast
import contextlib
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.cli.main import main
from agent.config.load import load

CASES = sorted(Path(__file__).with_name("cases").iterdir())


@pytest.fixture(autouse=True)
def without_a_configuration(monkeypatch):
    for name in ("AGENT_CONFIG", "SENTRY_DSN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def erp(tmp_path, monkeypatch):
    """An empty folder, in which the commands run; the function writes a file in it."""
    monkeypatch.chdir(tmp_path)

    def write(name, source):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(source if isinstance(source, bytes) else textwrap.dedent(source).encode())
        return file

    return write


def migrated(capsys, *words):
    status = main(["migrate", *words])
    return (status, *capsys.readouterr())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_gives_its_configuration_and_remarks_and_is_valid(case, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "project"
    shutil.copytree(case, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(folder)
    status, out, err = migrated(capsys, ".")
    assert status == 0
    assert out == (case / "monitors.yaml").read_text(encoding="utf-8")
    assert err == (case / "left.txt").read_text(encoding="utf-8")
    assert main(["validate", "--strict", "monitors.yaml", "--path", "."]) == 0
    assert "0123456789abcdef" not in out + err


def test_nothing_is_run(erp, capsys):
    erp("erp.py", "open('ran', 'w')\n@sentry_monitor(open('ran', 'w'))\ndef create(): ...\n")
    assert migrated(capsys, ".")[0] == 0
    assert not Path("ran").exists()


def test_a_file_is_replaced_only_with_force(erp, capsys):
    erp("erp.py", "@sentry_monitor('sales')\ndef create(): ...\n")
    kept = erp("monitors.yaml", "kept")
    assert migrated(capsys, "erp.py", "--output", "monitors.yaml")[0] == 2
    assert kept.read_text() == "kept"
    status, out, err = migrated(capsys, "erp.py", "--output", "monitors.yaml", "--force")
    assert (status, out) == (0, "")
    assert "wrote monitors.yaml: 1 function monitored" in err
    assert "target: erp:create" in kept.read_text()


@pytest.mark.parametrize(
    ("files", "words", "target"),
    [
        (["shop/a/b.py", "shop/a/__init__.py", "shop/__init__.py"], ["shop/a"], "shop.a.b.f"),
        (["shop/a/b.py", "manage.py"], ["shop/a/b.py"], "shop.a.b.f"),
        (["code/src/shop/b.py", "code/pyproject.toml"], ["."], "shop.b.f"),
        (["work/apps/shop/b.py"], ["work"], "apps.shop.b.f"),
        (["work/apps/shop/b.py", "manage.py"], [".", "--path", "work/apps"], "shop.b.f"),
    ],
)
def test_a_dotted_path_begins_where_imports_begin(erp, capsys, files, words, target):
    for name in files:
        erp(name, "")
    erp(files[0], "@sentry_monitor\ndef f(): ...\n")
    assert f"target: {target}\n" in migrated(capsys, *words)[1]


def test_a_file_that_no_import_leads_to_is_left(erp, capsys):
    erp("close-month.py", "@sentry_monitor\ndef f(): ...\n")
    status, out, err = migrated(capsys, ".")
    assert (status, out) == (1, "")
    assert "close-month.py:1: @sentry_monitor: no import leads to this file" in err


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (b"import sentry_sdk\nprint 'Python 2'\n", "parsed"),
        (b"sentry\x00\n", "parsed"),
        (b"# sentry\nname = '\xff'\n", "parsed"),
        (b"sentry = " + b"(" * 3000 + b")" * 3000, "parsed"),
        (b"sentry = 1" + b"+1" * 30_000, "parsed"),
    ],
    ids=["python-2", "null", "encoding", "nested", "long-sum"],
)
def test_a_file_that_cannot_be_read_is_named_and_the_others_are_read(erp, capsys, source, why):
    erp("bad.py", source)
    erp("good.py", "# coding: latin-1\n@sentry_monitor('sales', 'für')\ndef f(): ...\n".encode("latin-1"))
    status, out, err = migrated(capsys, ".")
    assert status == 0
    assert "operation: für" in out
    assert [line for line in err.splitlines() if "bad.py" in line and why in line]


def test_a_large_file_without_a_tool_is_not_parsed(erp, capsys, monkeypatch):
    erp("large.py", b"x = 1\n" * 1_700_000)
    erp("good.py", "@sentry_monitor('sales')\ndef f(): ...\n")
    parsed, parse = [], ast.parse
    monkeypatch.setattr(ast, "parse", lambda source, *rest: parsed.append(len(source)) or parse(source, *rest))
    assert migrated(capsys, ".")[0] == 0
    assert max(parsed) < 1000


def test_what_is_no_file_is_not_waited_for(erp, tmp_path, capsys):
    import os

    erp("good.py", "@sentry_monitor('sales')\ndef f(): ...\n")
    os.mkfifo(tmp_path / "pipe.py")
    status, _, err = migrated(capsys, ".")
    assert status == 0
    assert "pipe.py:1: the file: it is no file" in err


def test_a_source_that_is_not_there_cannot_be_read(erp, capsys):
    erp("x", "")
    status, _, err = migrated(capsys, "nowhere")
    assert status == 2
    assert "there is no file or folder nowhere" in err


def test_the_diff_removes_decorators_and_the_imports_that_only_they_used(erp, capsys):
    erp("pyproject.toml", "")
    source = """\
        from core import (
            help_me,
            sentry_monitor,
        )
        import newrelic.agent as nr
        from core import sentry_api_monitor

        @sentry_monitor(
            "sales",  # ours
        )
        @help_me
        def create(): ...

        class Orders:
            @nr.function_trace()
            def load(self): ...

            @sentry_api_monitor(f"{computed}")
            def view(self): ...
        """
    file = erp("erp/orders.py", source)
    before = file.read_bytes()
    status, out, _ = migrated(capsys, ".", "--diff")
    assert status == 0
    assert file.read_bytes() == before
    subprocess.run(["patch", "-p0", "-s"], input=out, text=True, check=True)
    assert file.read_text() == textwrap.dedent("""\
        from core import help_me
        from core import sentry_api_monitor

        @help_me
        def create(): ...

        class Orders:
            def load(self): ...

            @sentry_api_monitor(f"{computed}")
            def view(self): ...
        """)


def test_the_diff_keeps_line_ends_and_encodings(erp, capsysbinary):
    source = "# coding: latin-1\r\nname = 'ü'\r\n@sentry_monitor\r\ndef f(): ...".encode("latin-1")
    erp("erp.py", source)
    _, out, _ = migrated(capsysbinary, ".", "--diff")
    assert b" name = '\xfc'\r\n-@sentry_monitor\r\n def f(): ...\n\\ No newline at end of file\n" in out


def test_the_diff_counts_lines_as_python_does(erp, capsys):
    file = erp("erp.py", b"\xef\xbb\xbfname = 1\n\x0c\n@sentry_monitor\ndef f(): ...\n")
    out = migrated(capsys, ".", "--diff")[1]
    subprocess.run(["patch", "-p0", "-s"], input=out, text=True, check=True)
    assert file.read_bytes() == b"\xef\xbb\xbfname = 1\n\x0c\ndef f(): ...\n"


def test_one_transaction_of_two_files_is_one_monitor(erp, capsys):
    for name in ("erp/a.py", "erp/b.py"):
        erp(name, "@sentry_transaction('nightly')\ndef run(): ...\n")
    erp("newrelic.ini", "[background-task:x]\nenabled = true\nfunction = erp.c:run\nname = a" + "{" * 150)
    migrated(capsys, ".", "--output", "monitors.yaml")
    assert main(["validate", "monitors.yaml", "--no-targets"]) == 0
    written = Path("monitors.yaml").read_text(encoding="utf-8")
    assert written.count("name: nightly") == 1
    assert "- erp.a.run\n" in written
    assert "- erp.b.run\n" in written


def test_a_program_without_a_suffix_and_settings_of_any_name_are_read(erp, capsys):
    erp("close", "import sentry_sdk\nsentry_sdk.init(release='7')\n")
    erp("nr.conf", "[function-trace:x]\nenabled = true\nfunction = erp.jobs:close\n")
    _, out, _ = migrated(capsys, "close", "nr.conf")
    assert 'release: "7"\n' in out
    assert "target: erp.jobs.close\n" in out


_texts = st.text(max_size=30)
_literals = st.one_of(
    _texts, st.integers(), st.floats(), st.booleans(), st.none(), st.lists(_texts, max_size=3),
    st.dictionaries(_texts, st.one_of(_texts, st.integers()), max_size=3),
)  # fmt: skip
_decorators = st.sampled_from([
    "sentry_monitor", "sentry_database_monitor", "sentry_business_logic_monitor", "sentry_transaction", "sentry_api_monitor",
    "sentry_security_monitor", "monitor_sales_operation", "sentry_sdk.trace", "newrelic.agent.background_task",
    "newrelic.agent.datastore_trace", "tracer.wrap", "tracer.start_as_current_span", "logfire.instrument", "elasticapm.capture_span",
])  # fmt: skip
_arguments = st.sampled_from([
    "module", "operation", "model", "process", "name", "endpoint", "event_type", "severity", "threshold", "capture", "expect", "tags",
    "audit", "op", "group", "service", "resource", "span_type", "attributes", "labels", "extract_args", "msg_template", "nonsense",
])  # fmt: skip
_uses = st.tuples(_decorators, st.lists(_literals, max_size=2), st.dictionaries(_arguments, _literals, max_size=4))
_settings = st.dictionaries(
    st.sampled_from(["dsn", "environment", "release", "sample_rate", "traces_sample_rate", "debug", "ignore_errors",
                     "functions_to_trace"]),
    _literals,
    max_size=4,
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(_uses, min_size=1, max_size=2), max_size=4), _settings)
def test_whatever_the_arguments_are_the_result_is_valid(tmp_path, capsys, functions, client):
    def call(name, positional, named):
        words = [*map(repr, positional), *(f"{key}={value!r}" for key, value in named.items())]
        return f"{name}({', '.join(words)})"

    lines = [call("sentry_sdk.init", [], client)]
    for number, uses in enumerate(functions):
        lines += [f"@{call(*use)}" for use in uses]
        lines.append(f"def function{number}(order): ...")
    with contextlib.suppress(OSError):
        (tmp_path / "monitors.yaml").unlink()
    (tmp_path / "erp.py").write_text("\n".join(lines), encoding="utf-8", errors="replace")
    status, _, err = migrated(capsys, str(tmp_path), "--output", str(tmp_path / "monitors.yaml"))
    assert status == 0 or not functions, err
    if status == 0:
        written = (tmp_path / "monitors.yaml").read_text(encoding="utf-8")
        assert not load(str(tmp_path / "monitors.yaml"), {}).problems, written
        assert all(f"erp:function{number}\n" in written for number in range(len(functions)))
