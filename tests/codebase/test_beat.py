"""Celery beat's schedule, read from source."""

from __future__ import annotations

import os

import pytest

from agent.codebase import beat, search
from agent.codebase.lookup import Lookup


def read(tmp_path, text, name="settings.py"):
    package = tmp_path / "erp"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / name).write_text(text, encoding="utf-8")
    return beat.entries(Lookup(search.here([str(tmp_path)])), ["erp"])


@pytest.mark.parametrize(("spelled", "crontab", "seconds"), [
    ("crontab(hour=2, minute=30)", "30 2 * * *", None),
    ("crontab(minute='*/15')", "*/15 * * * *", None),
    ("celery.schedules.crontab('0', '4', 'mon-fri')", "0 4 * * mon-fri", None),
    ("crontab(0, 0, day_of_month='1', month_of_year='*/3')", "0 0 1 */3 *", None),
    ("3600.0", None, 3600.0),
    ("DAY / 4", None, 21600.0),
    ("timedelta(hours=6, minutes=30)", None, 23400.0),
    ("schedule(run_every=60 * 5)", None, 300.0),
    ("datetime.timedelta(days=1)", None, 86400.0),
    ("float(os.environ.get('SECONDS', 2 * HOUR))", None, 7200.0),
    ("int(os.getenv('SECONDS', 90))", None, 90.0),
    ("NIGHTLY", "0 3 * * *", None),
    ("solar('sunset', 1, 2)", None, None),
    ("crontab(hour=hours())", None, None),
    ("from_database()", None, None),
    ("1 / 0", None, None),
    ("-5", None, None),
])  # fmt: skip
def test_schedules_are_evaluated_as_far_as_they_are_constant(tmp_path, spelled, crontab, seconds):
    text = f"""
HOUR = 3600
DAY = 24 * HOUR
NIGHTLY = crontab(hour=3, minute=0)
CELERY_TIMEZONE = TIME_ZONE = "Europe/Stockholm"
CELERY_BEAT_SCHEDULE = {{"job": {{"task": "sales.tasks.job", "schedule": {spelled}}}}}
"""
    (entry,) = read(tmp_path, text)
    assert entry == ("job", "sales.tasks.job", f"erp{os.sep}settings.py:6", crontab, seconds, "Europe/Stockholm")


@pytest.mark.parametrize("text", [
    "app.conf.beat_schedule = {'a': {'task': 't', 'schedule': 60}}",
    "app.conf.update(timezone='UTC', beat_schedule={'a': {'task': 't', 'schedule': 60}})",
    "class Config:\n    beat_schedule: dict = {'a': {'task': 't', 'schedule': 60}}",
    "CELERYBEAT_SCHEDULE = {'a': {'task': 't', 'schedule': 60}, **others, key: value, 'b': made()}",
])  # fmt: skip
def test_every_usual_place_is_found(tmp_path, text):
    assert [entry.name for entry in read(tmp_path, text, "celery.py")] == ["a"]


@pytest.mark.parametrize(
    "text", ["beat_schedule = {", "beat_schedule = {}\nX = X\nbeat_schedule = {X: X}", "\x00beat_schedule"]
)
def test_what_cannot_be_read_is_passed_over(tmp_path, text):
    assert read(tmp_path, text) == []


def test_the_example_erps_schedule_is_found_without_running_it():
    from pathlib import Path

    erp = Path(__file__).resolve().parents[2] / "examples" / "erp"
    found = beat.entries(Lookup(search.here([str(erp)])), ["sales", "inventory"])
    assert [(entry.name, entry.task, entry.seconds, entry.timezone) for entry in found] == [
        ("invoice-shipped-orders", "sales.tasks.nightly_invoicing", 86400.0, "Europe/Stockholm"),
        ("replenish-main-warehouse", "inventory.tasks.replenish_warehouse", 21600.0, "Europe/Stockholm"),
    ]
