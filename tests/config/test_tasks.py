"""The section `tasks`, and what Celery's own section replaces of it."""

from agent.config.load import examine


def sentry_of(tmp_path, text):
    path = tmp_path / "monitors.yaml"
    path.write_text(f"version: 1\n{text}\nmonitors: []\n", encoding="utf-8")
    return examine(str(path), {}).plan["sentry"]


def test_tasks_holds_for_every_queue(tmp_path):
    found = sentry_of(
        tmp_path, 'tasks: {queue_wait: 30s, queues: {imports: off}, check_ins: ["*"], check_in_margin: 2m}'
    )
    expected = {"queue_wait": [(30.0, "warning")], "queues": {"imports": []}, "check_ins": ["*"], "margin": 120.0,
                "max_runtime": None}  # fmt: skip
    assert found["tasks"] == expected
    assert {name: found["celery"][name] for name in expected} == expected


def test_celerys_own_section_comes_first_for_celery_alone(tmp_path):
    found = sentry_of(tmp_path, 'tasks: {queue_wait: 30s, check_ins: ["*"]}\ncelery: {queue_wait: 1m, pool_full: 10m}')
    assert found["tasks"]["queue_wait"] == [(30.0, "warning")]
    assert found["celery"]["queue_wait"] == [(60.0, "warning")]
    assert found["celery"]["check_ins"] == ["*"]
    assert found["celery"]["pool_full"] == [(600.0, "warning")]


def test_without_either_nothing_is_reported(tmp_path):
    found = sentry_of(tmp_path, "")
    assert (found["tasks"], found["celery"]) == (None, None)


def test_what_is_for_celery_alone_is_nothing_to_other_queues(tmp_path):
    found = sentry_of(tmp_path, "celery: {pool_full: 10m}")
    assert found["tasks"] is None
    assert found["celery"]["pool_full"]
