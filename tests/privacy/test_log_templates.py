"""What of a log line that was put together before it was logged is written in the source; the values stay."""

import importlib.util
import logging

import pytest

from agent.observe.around import breadcrumbs
from agent.privacy import log_templates, names

NAME = "Anna Planted7x"

#: What logs a line with `name` in it → what may leave of it.
LINES = {
    'log.info("plain line")': "plain line",
    'log.info("lazy %s", name)': "lazy %s",
    'log.info(f"customer {name} is late")': "customer {name} is late",
    'log.info(f"customer {order.name} is late")': "customer {order.name} is late",
    'log.info(f"customer {name.upper()!r:>30} {len(name)} \'x\'")': "customer {…} {…} 'x'",
    'log.info(rf"customer {name}" f" late")': "customer {name} late",
    'log.warning("customer %s late" % name)': "customer %s late",
    'log.info("customer %(n)s late" % {"n": name})': "customer %(n)s late",
    'log.error("customer {} late".format(name))': "customer {} late",
    'log.error("customer {n:>20} late".format(n=name))': "customer {n:>20} late",
    'log.info("customer " + name + " late")': "customer {name} late",
    'log.info("failed for " + name)': "failed for {name}",
    'log.info(" ".join(["customer", name, "late"]))': "{…}customer{…}late{…}",
    'log.info(Template("customer $n late").substitute(n=name))': "customer $n late",
    'log.info(_("customer %s late") % name)': "customer %s late",
    'msg = f"customer {name} late"\n    log.info(msg)': "customer {name} late",
    'msg = "customer "\n    msg += name\n    log.info(msg)': "customer {name}",
    "log.info(name)": None,
    'name = "Anna Planted7x"\n    log.info(name)': None,
    'name = "Anna Planted7x"\n    log.info("failed for " + name)': "failed for {name}",
    'TEXT = "a constant"\n    log.info(TEXT)': "a constant",
    "log.info(str(order.name))": None,
    'log.info(f"{name}")': None,
    'log.info("%s" % name)': None,
    'log.info(\n        "customer %s "\n        "late" % name\n    )': "customer %s late",
    'log.info(f"customer {name} %s", 5)': "customer {name} %s",
    'log.info("a\\tb %s" % name)': "a\tb %s",
    'log.info("é\\u2026 %s" % name)': "é\\u2026 %s",
    'log.log(20, f"customer {name} late")': "customer {name} late",
    'log.info("no" if not name else f"customer {name} late", extra={"x": "y"})': "customer {name} late",
    'x = {"k": log.info(f"customer {name} late"),\n    }': "customer {name} late",
    'log.info(msg=f"customer {name} late")': "customer {name} late",
    'if name: log.info(f"customer {name} late")': "customer {name} late",
    'log.info("total 100%")': "total 100%",
    'log.info(f"{{x}} {name}")': "{x} {name}",
    'audit(f"customer {name} late")': None,
    'audit("customer %s late", name)': "customer %s late",
    'audit_above(f"customer {name} late")': "customer {name} late",
    "log.info(MESSAGE)": None,
    'try: 1 / 0\n    except ZeroDivisionError: log.exception("failed for " + name)': "failed for {name}",
}  # fmt: skip
HEAD = """
import logging
from string import Template
log = logging.getLogger("erp")
from {module} import MESSAGE
def _(text): return text
def audit(text, *values): log.info(text, *values)
def audit_above(text): log.info(text, stacklevel=2)
class order: name = "Anna Planted7x"
def run(name):
    {line}
"""
MESSAGE = "from elsewhere"


def logged(tmp_path, monkeypatch, line, *, source=True):
    path = tmp_path / "sales.py"
    path.write_text(HEAD.format(module=__name__, line=line), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("sales", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not source:
        path.unlink()
    names.configure(())
    records = []
    monkeypatch.setattr(module.log, "callHandlers", records.append)
    module.log.setLevel(logging.INFO)
    module.run(NAME)
    (record,) = records
    return breadcrumbs.as_written(record.msg, record.pathname, record.lineno, filled=not record.args)


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_shown_as_the_source_has_it(tmp_path, monkeypatch, line):
    text = logged(tmp_path, monkeypatch, line)
    assert "Planted7x" not in text
    if LINES[line] is None:
        assert text.startswith("(text put together before it was logged, sales.py:")
    else:
        assert text == LINES[line]


@pytest.mark.parametrize("line", LINES)
def test_without_source_no_text_is_shown(tmp_path, monkeypatch, line):
    assert logged(tmp_path, monkeypatch, line, source=False).startswith("(text put together before it was logged, ")


def test_another_source_than_what_runs_shows_no_text(tmp_path):
    path = tmp_path / "sales.py"
    path.write_text('log.info(f"an entirely different {line}")\n')
    text = breadcrumbs.as_written(f"customer {NAME} is late", str(path), 1, filled=True)
    assert text == "(text put together before it was logged, sales.py:1)"


def test_many_pieces_take_one_pass():
    """Pieces that occur often are looked for once each, not in every combination."""
    assert not log_templates.matches(("a",) * 400 + ("b",), "a" * 20_000)
    assert log_templates.matches(("a",) * 400, "a" * 20_000)
