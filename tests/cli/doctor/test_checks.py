"""Checks on made-up processes: of other users, of servers with options, of environments that are only folders."""

from __future__ import annotations

import os
import sys

import pytest
from metrics_kit import Here

from agent.base import places
from agent.cli.doctor import configuration, installation, libraries, monitoring, servers, starts, state_folder
from agent.cli.doctor.finding import Finding, Mask
from agent.cli.doctor.installation import Erp, Installation
from agent.cli.doctor.permissions import may
from agent.cli.path import folder
from agent.cli.state import other_processes
from agent.cli.state.problems import WRONG, problems
from agent.cli.state.processes import Process
from agent.cli.state.whole import Whole
from agent.plan import borrowed

STRANGER = 54321


def process(*words, pid=7, owner=None, environ=None, cwd="/", name="gunicorn", version=(3, 11)):
    return Erp(pid, os.geteuid() if owner is None else owner, name, list(words) or ["python"],
               {"PYTHONPATH": folder()} if environ is None else environ, cwd, sys.executable, version, None)  # fmt: skip


def installed(tmp_path, *erp, config="version: 1\nmonitors: [{target: json.dumps}]\n"):
    file = tmp_path / "monitors.yaml"
    file.write_text(config)
    state = str(tmp_path / "state" / places.folder_name(str(file)))
    return Installation(str(file), "named with --config", state, folder(), None, "", list(erp), True)


def found(check, where, **options):
    return {each.slug: each for each in check(where, **options)}


def opened(path):
    """Let everybody enter the folders above: those of pytest are private."""
    while path != os.path.dirname(path):
        path = os.path.dirname(path)
        if os.stat(path).st_uid == os.geteuid() and path not in ("/", "/tmp"):
            os.chmod(path, 0o755)


def test_what_status_lists_is_found_with_the_same_words(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENT_STATE_DIR", str(tmp_path / "state"))
    where = installed(tmp_path)
    assert found(monitoring.check, where)["monitoring"].state == "ok"
    here = Here(str(tmp_path)).fill()
    listed = [each for each in problems(Whole(here.config)) if each.weight >= WRONG]
    assert {each.slug for each in listed} >= {"spool-full", "set-aside"}
    seen = [(each.slug, each.title, each.detail, each.hint) for each in monitoring.check(where)]
    assert seen == [(each.slug, each.text, each.where, each.hint) for each in listed]
    assert {each.state for each in monitoring.check(where)} == {"fail", "warn"}


def test_may(tmp_path):
    file = tmp_path / "file"
    file.touch()
    opened(str(file))
    file.chmod(0o640)
    assert may(os.geteuid(), str(file), 6)
    assert not may(STRANGER, str(file), 4)
    file.chmod(0o604)
    assert may(STRANGER, str(file), 4)
    assert not may(STRANGER, str(file), 2)
    tmp_path.chmod(0o700)
    assert not may(STRANGER, str(file), 4)  # cannot enter
    assert not may(0, str(tmp_path / "nowhere"), 4)


def test_a_configuration_that_a_user_of_the_erp_may_not_read(tmp_path):
    where = installed(tmp_path, process(owner=STRANGER))
    opened(where.config)
    os.chmod(where.config, 0o600)
    one = found(configuration.check, where)["configuration-unreadable"]
    assert one.detail == f"{where.config}: not readable for #{STRANGER}"
    os.chmod(where.config, 0o644)
    assert "configuration" in found(configuration.check, where)


def test_a_state_folder_that_another_user_cannot_write(tmp_path):
    base = tmp_path / "state"
    base.mkdir()
    opened(str(base / "x"))
    base.chmod(0o755)
    where = installed(tmp_path, process(owner=STRANGER, environ={"AGENT_STATE_DIR": str(base)}))
    one = found(state_folder.check, where)["state-unwritable-for-user"]
    assert (one.state, one.detail) == ("fail", str(base))
    base.chmod(0o777)
    assert "state-unwritable-for-user" not in found(state_folder.check, where)


class Room:
    f_frsize, f_bavail, f_files, f_favail, f_flag = 4096, 1 << 20, 1000, 1 << 20, 0


@pytest.mark.parametrize(
    ("facts", "title"),
    [
        ({"f_bavail": 100}, "409.6 KB are free where the state folder is"),
        ({"f_favail": 3}, "3 inodes are free where the state folder is"),
    ],
)
def test_a_full_disk(tmp_path, monkeypatch, facts, title):
    monkeypatch.setattr(os, "statvfs", lambda _: type("Facts", (Room,), facts))
    one = found(state_folder.check, installed(tmp_path))["disk-full"]
    assert (one.state, one.title) == ("fail", title)


def test_a_network_file_system(tmp_path, monkeypatch):
    monkeypatch.setattr(state_folder.mounts, "type_of", lambda _: "nfs4")
    assert "(nfs4)" in found(state_folder.check, installed(tmp_path))["state-on-network"].title


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ("python manage.py -I", ""),
        ("python -I manage.py", "-I"),
        ("python3.11 -bES -m erp -I", "-E -S"),
        ("python -W ignore -X dev -S -c -I", "-S"),
        ("python -Wignore -u manage.py -S", ""),
        ("python -c -I", ""),
        ("uwsgi -S", ""),
    ],
)
def test_options_of_the_interpreter(words, flags):
    assert starts.ignoring_flags(words.split()) == flags


def test_processes_that_cannot_be_read_or_are_too_old(tmp_path):
    unreadable = process(owner=STRANGER)._replace(environ=None)
    kinds = found(starts.check, installed(tmp_path, unreadable, process(version=(3, 8), pid=8)))
    assert kinds["process-unreadable"].title == f"1 process belongs to user #{STRANGER} and cannot be read from here"
    assert kinds["process-unreadable"].state == "skipped"
    assert kinds["python-too-old"].title == "1 process runs Python 3.8, which the agent does not support"


def test_without_proc_it_is_skipped(tmp_path):
    assert found(starts.check, installed(tmp_path)._replace(proc=False))["processes-unknown"].state == "skipped"


@pytest.mark.parametrize(
    ("name", "words", "slug"),
    [
        ("gunicorn", "python gunicorn --user www erp", "server-changes-user"),
        ("celery", "python celery -A erp worker --uid=www", "server-changes-user"),
        ("celery", "python celery -A erp worker", "server-options"),
        ("gunicorn", "python gunicorn --env AGENT_CONFIG=/etc/m.yaml erp", "server-sets-variables-late"),
        ("gunicorn", "python gunicorn --env=PYTHONPATH=/srv/agent erp", "server-sets-variables-late"),
        ("gunicorn", "python gunicorn -e DEBUG=1 erp", "server-options"),
    ],
)
def test_options_of_servers(tmp_path, name, words, slug):
    environ = {} if "PYTHONPATH" in words else None
    where = installed(tmp_path, process(*words.split(), owner=0, name=name, environ=environ))
    assert set(found(servers.check, where)) == {slug}


def test_a_process_that_has_nearly_all_its_files_open(tmp_path, monkeypatch):
    monkeypatch.setattr(servers, "NEARLY", 0.0)
    one = found(servers.check, installed(tmp_path, process(pid=os.getpid())))["descriptors-short"]
    assert one.detail.startswith(f"gunicorn {os.getpid()}: ")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["gunicorn: master [erp.wsgi]"], "gunicorn"),
        (["[celeryd: celery@host:MainProcess] -active- (worker)"], "celeryd"),
        (["/venv/bin/python", "/venv/bin/celery", "-A", "erp"], "celery"),
        (["python", "-m", "gunicorn", "erp"], "gunicorn"),
        (["/usr/bin/python3", "/opt/odoo/odoo-bin", "-d", "x"], "odoo-bin"),
        (["python", "backup.py"], ""),
    ],
)
def test_programs_that_are_recognised(words, name):
    assert installation.program_name(words) == name


def test_only_names_of_programs_are_printed(monkeypatch, tmp_path):
    words = ["python", "top secret: hunter2"]
    every = [other_processes.Running(5, 0, words, "/usr/bin/python3.11", {}, str(tmp_path))]
    monkeypatch.setattr(other_processes, "pythons", lambda *_: every)
    (one,) = installation.erp_processes(str(tmp_path / "monitors.yaml"), str(tmp_path), None)
    assert (one.name, one.version) == ("python", (3, 11))


def test_the_packages_of_an_interpreter_that_is_not_started(tmp_path):
    site = tmp_path / "venv" / "lib" / "python3.12" / "site-packages"
    site.mkdir(parents=True)
    system = tmp_path / "usr" / "lib" / "python3" / "dist-packages"
    system.mkdir(parents=True)
    program = str(tmp_path / "venv" / "bin" / "python")
    config = tmp_path / "venv" / "pyvenv.cfg"
    config.write_text(f"home = {tmp_path}/usr/bin\ninclude-system-site-packages = false\n")
    assert libraries.packages_of(program, (3, 12)) == [str(site)]
    config.write_text(f"home = {tmp_path}/usr/bin\ninclude-system-site-packages = true\n")
    assert libraries.packages_of(program, (3, 12)) == [str(site), str(system)]
    assert libraries.packages_of("/nowhere/venv/bin/python", None) == []


def test_libraries_of_another_environment(tmp_path, monkeypatch):
    python = tmp_path / "venv" / "bin" / "python3.11"
    (tmp_path / "venv" / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    named_one = process(str(python), environ={"AGENT_PYTHON": "/srv/erp/python"})._replace(program=str(python))
    one = found(libraries.check, installed(tmp_path, named_one))
    assert one["libraries-borrowed"].state == "ok"
    assert one["libraries-borrowed"].detail.startswith("/srv/erp/python (AGENT_PYTHON), because pyyaml, jsonschema")
    assert one["library-missing"].title == "not installed: sentry-sdk, rich"
    facts = {"prefix": str(tmp_path / "venv")}
    reported = Process(repr(("process", 7, 1.0, "gunicorn", "3.11.7", "", "", facts)))
    where = installed(tmp_path, process(environ={})._replace(program=str(python), reported=reported))
    assert found(libraries.check, where)["library-missing"].state == "fail"
    monkeypatch.setattr(borrowed, "of", lambda *given: f"/usr/{given!r}")
    detail = found(libraries.check, where)["libraries-borrowed"].detail
    assert detail.startswith(f"/usr/{(where.state, (3, 11), facts['prefix'])!r} (found beside the agent's folder, or")


def test_what_is_masked(monkeypatch):
    monkeypatch.setenv("HOME", "/srv/anna")
    environment = {"DB_PASSWORD": "s3cret-thing", "API_KEY": "production", "URL": "postgres://erp:pg%2Fpw-1@db/x"}
    mask = Mask([environment], ["0123456789abcdef"])
    made = mask.finding(
        Finding("dsn", "ok", "key 0123456789abcdef", "at https://a:b@host/ s3cret-thing", "/srv/anna/x")
    )
    assert made == ("dsn", "ok", "key [masked]", "at https://[masked]@host/ [masked]", "~/x")
    assert mask.text("production in /srv/annabel, pg%2Fpw-1") == "production in /srv/annabel, [masked]"
