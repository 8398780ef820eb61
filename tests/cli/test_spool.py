from __future__ import annotations

import io
import json
import os
import sys
import tarfile

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "deliver"))

from kit import envelope
from receiver import Receiver

from agent.base.health import Health
from agent.cli import options
from agent.cli.main import main
from agent.deliver import clients
from agent.deliver.http.route import Route
from agent.deliver.sink import open_spool

NO_DSN = "no DSN is set in this shell or file, so this command cannot send"


@pytest.fixture
def place(tmp_path, monkeypatch):
    config = tmp_path / "monitors.yaml"
    config.write_text("version: 1\nmonitors: []\n")
    monkeypatch.setenv("AGENT_CONFIG", str(config))
    monkeypatch.setenv("AGENT_STATE_DIR", str(tmp_path / "state"))
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return config


@pytest.fixture
def receiver(monkeypatch):
    with Receiver() as running:
        monkeypatch.setenv("SENTRY_DSN", running.dsn)
        yield running


class Arguments:
    config = None


def spool(*, held=False):
    where = options.configured(Arguments())
    return open_spool(where.spool_settings, where.state, Health(where.state, where.config), held=held)


def fill(number=3, *, held=False, category="error"):
    ids = []
    for _ in range(number):
        one = envelope(category=category)
        ids.append(one.event_id)
        spool(held=held).write(one)
    return ids


def set_aside(reason="HTTP 413: too large"):
    (event_id,) = fill(1)
    lying = spool()
    (entry,) = [entry for entry in lying.entries() if entry.event_id == event_id]
    lying.quarantine(entry, reason)
    return event_id


def of_a_client(dsn, number=1):
    """Envelopes of a Sentry client that a host set up itself."""
    where = options.configured(Arguments())
    lying = clients.spool_for(Route(dsn, "sentry.python/2", http_proxy=""), where.spool_settings, where.state, print)
    ids = []
    for _ in range(number):
        one = envelope()
        ids.append(one.event_id)
        lying.write(one)
    return lying, ids


def run(capsys, *arguments):
    status = main(["spool", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_status_of_nothing(place, capsys):
    status, out, err = run(capsys, "status")
    assert (status, err) == (0, "")
    assert [line.split(None, 1)[1] for line in out.splitlines()[1:3]] == ["nothing", "back   nothing"]
    assert not os.path.exists(spool().directory)


def test_status_shows_what_waits_since_when_and_why(place, capsys):
    fill(2)
    fill(1, category="transaction")
    fill(1, held=True)
    set_aside()
    status, out, _ = run(capsys, "status")
    assert status == 1  # something was set aside
    assert "2 error, 1 transaction; " in out
    assert "the oldest since 20" in out
    assert NO_DSN in out
    assert "captured without a DSN; to send: python -m agent spool release" in out
    assert "1 × HTTP 413: too large" in out
    facts = json.loads(run(capsys, "status", "--format", "json")[1])
    assert facts["waiting"]["categories"] == {"error": 2, "transaction": 1}
    assert facts["held_back"]["number"] == 1
    assert facts["why"] == [NO_DSN]
    assert facts["reasons"] == {"HTTP 413: too large": 1}


def test_status_shows_the_last_failure_and_the_rate_limits_in_force(place, receiver, capsys):
    fill(2)
    from receiver import Answer

    receiver.program(Answer(429, {"X-Sentry-Rate-Limits": "600:error:key"}))
    assert run(capsys, "flush", "--timeout", "2")[0] == 1
    _, out, _ = run(capsys, "status")
    assert "last attempt: HTTP 429" in out
    assert "Sentry limits error; next attempt in " in out
    assert run(capsys, "status")[0] == 0


def test_status_counts_losses_from_the_state_files(place, capsys):
    where = options.configured(Arguments())
    health = Health(os.path.join(where.state, "run"), where.config)
    health.count("spool-full", "transaction", 7)
    health.count("captured", "m", 3)
    health.flush(final=True)
    status, out, _ = run(capsys, "status")
    assert status == 1
    assert "7 spool-full" in out


def test_the_status_of_the_agent_shows_a_disk_that_held_up_the_process(place, capsys):
    where = options.configured(Arguments())
    health = Health(os.path.join(where.state, "run"), where.config)
    health.count("slow-disk", "spool", 2)
    health.flush(final=True)
    assert main(["status"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "note: writing an event held up other threads 2 times: the disk is slow" in out
    assert run(capsys, "status")[0] == 0  # nothing is lost


def test_flush_delivers_what_waits_and_not_what_is_held_back(place, receiver, capsys):
    ids = fill(3)
    held = fill(2, held=True)
    status, out, err = run(capsys, "flush")
    assert (status, err) == (0, "")
    assert out.splitlines() == ["3 delivered.", "2 held back; to send: python -m agent spool release"]
    assert receiver.ids == ids
    assert run(capsys, "flush")[1].startswith("Nothing waits. 2 held back")
    assert run(capsys, "release", held[0][:8])[:2] == (
        0,
        "1 released. The next delivery sends them; to send now: python -m agent spool flush\n",
    )
    assert run(capsys, "release")[0] == 0
    assert run(capsys, "flush")[0] == 0
    assert set(receiver.ids) == {*ids, *held}


def test_flush_that_cannot_deliver_prints_why(place, receiver, capsys):
    fill(1)
    receiver.program(default=503)
    status, out, _ = run(capsys, "flush", "--timeout", "0.3")
    assert status == 1
    assert "0 delivered." in out
    assert "1 still waiting: HTTP 503" in out


def test_flush_without_a_dsn_cannot_run(place, capsys):
    fill(1)
    status, _, err = run(capsys, "flush")
    assert status == 2
    assert "no DSN: set SENTRY_DSN" in err


def test_show_lists_everything_and_one_whole(place, capsys):
    (waits,) = fill(1)
    (held,) = fill(1, held=True)
    aside = set_aside()
    _, out, _ = run(capsys, "show")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[:1]] == ["CAPTURED"]
    assert [(i in line, s in line) for i, s, line in zip((waits, held, aside), ("waiting", "held back", "set aside"), lines[1:])] == [(True, True)] * 3  # fmt: skip
    assert "HTTP 413" in lines[3]
    for event_id in (waits, held, aside):
        _, out, _ = run(capsys, "show", event_id[:10])
        assert '"type": "event"' in out
        assert event_id in out
    status, _, err = run(capsys, "show", "zzz")
    assert status == 2
    assert "no envelope has an ID" in err


def test_a_timeout_that_is_no_number_is_an_error(place, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["spool", "flush", "--timeout", "soon"])
    assert ended.value.code == 2
    assert "'soon' is not a number of seconds; example: 60" in capsys.readouterr().err


def test_replay_puts_back_what_was_set_aside(place, receiver, capsys):
    first, second = set_aside(), set_aside()
    assert run(capsys, "replay", first)[0] == 0
    status, _, err = run(capsys, "replay", "nope")
    assert status == 1
    assert "no envelope that is set aside has an ID starting with 'nope'" in err
    assert run(capsys, "replay")[1].startswith("1 waiting again")
    assert run(capsys, "flush")[0] == 0
    assert set(receiver.ids) == {first, second}


def test_export_and_import_carry_envelopes_over_an_air_gap(place, tmp_path, capsys, monkeypatch):
    ids = fill(2) + fill(1, held=True)
    file = tmp_path / "out.tar"
    status, out, _ = run(capsys, "export", str(file), "--remove")
    assert (status, out) == (0, f"3 envelopes in {file}, 3 removed here.\n")
    assert os.stat(file).st_mode & 0o777 == 0o600
    assert spool().entries() == []
    assert run(capsys, "export", str(file))[0] == 2
    monkeypatch.setenv("AGENT_STATE_DIR", str(tmp_path / "elsewhere"))
    status, out, _ = run(capsys, "import", str(file))
    assert (status, out) == (0, "3 imported, held back (no DSN is set here); 0 were here already.\n")
    with Receiver() as receiver:
        monkeypatch.setenv("SENTRY_DSN", receiver.dsn)
        run(capsys, "purge", "--yes")
        assert run(capsys, "import", str(file))[1] == "3 imported, waiting; 0 were here already.\n"
        assert run(capsys, "import", str(file))[1] == "0 imported, waiting; 3 were here already.\n"
        assert run(capsys, "flush")[0] == 0
        assert set(receiver.ids) == set(ids)


def test_what_hosts_own_clients_send_is_shown_flushed_and_purged_apart(place, capsys, monkeypatch):
    (own,) = fill(1)
    with Receiver() as theirs:
        _, (first, second) = of_a_client(theirs.dsn, 2)
        where = f"http://127.0.0.1:{theirs.port}/42"
        status, out, _ = run(capsys, "status")
        assert status == 0
        assert f"client      the host's own, which sends to {where}" in out
        assert "public" not in out, "no key is shown"
        facts = json.loads(run(capsys, "status", "--format", "json")[1])
        assert facts["waiting"]["number"] == 1
        assert [(each["client_of"], each["waiting"]["number"]) for each in facts["clients"]] == [(where, 2)]
        rows = {line.split()[-2]: line.split()[-1] for line in run(capsys, "show")[1].splitlines()[1:]}
        assert rows == {own: "-", first: where, second: where}
        assert f"of the host's own Sentry client for {where}" in run(capsys, "show", first)[1]
        status, out, _ = run(capsys, "flush")  # without a DSN of the agent's: only the client's
        assert (status, out) == (0, f"2 delivered to {where} for the host's own client.\n")
        assert theirs.ids == [first, second]
        _, (third,) = of_a_client(theirs.dsn)
        assert run(capsys, "purge", "--yes")[:2] == (0, "2 removed.\n")
        assert run(capsys, "show", third)[0] == 2


def test_an_export_names_the_client_of_each_envelope(place, tmp_path, capsys, monkeypatch):
    (own,) = fill(1)
    file = tmp_path / "out.tar"
    with Receiver() as theirs:
        _, (first,) = of_a_client(theirs.dsn)
        assert run(capsys, "export", str(file), "--remove")[1] == f"2 envelopes in {file}, 2 removed here.\n"
        monkeypatch.setenv("AGENT_STATE_DIR", str(tmp_path / "elsewhere"))
        said = "2 imported, held back (no DSN is set here); 0 were here already. 1 of them are for the host's own Sentry clients.\n"
        assert run(capsys, "import", str(file))[:2] == (0, said)
        assert run(capsys, "import", str(file))[1].startswith("0 imported, held back (no DSN is set here); 2 were here")
        assert run(capsys, "flush")[0] == 0
        assert theirs.ids == [first]
        assert [entry.event_id for entry in spool().entries()] == [own]


def test_a_beginning_that_several_ids_share_is_no_id(place, capsys):
    for tail in "ab":
        spool().write(envelope(event_id="c0ffee" + tail * 26))
    status, _, err = run(capsys, "show", "c0ffee")
    assert status == 2
    assert "2 envelopes have an ID starting with 'c0ffee'" in err
    assert run(capsys, "show", "c0ffeea")[0] == 0


def test_an_import_refuses_what_no_spool_wrote(place, tmp_path, capsys):
    fill(1)
    name = spool().entries()[0].name
    file = tmp_path / "bad.tar"
    with tarfile.open(file, "w") as archive:
        for each, data in (("../../x", b"x"), ("/etc/" + name, b"{}\n"), (name[:-10] + "1.envelope", b"x"), (name.replace("error", "other"), b"torn")):  # fmt: skip
            member = tarfile.TarInfo(each)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo(name)
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    status, out, err = run(capsys, "import", str(file))
    assert status == 1
    assert out.startswith("0 imported")
    assert len(err.splitlines()) == 5
    (tmp_path / "no.tar").write_text("nothing")
    for path in ("no.tar", "missing.tar"):
        status, _, err = run(capsys, "import", str(tmp_path / path))
        assert status == 2
        assert path in err


def test_purge_needs_a_confirmation(place, capsys, monkeypatch):
    fill(2)
    fill(1, held=True)
    set_aside()
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    status, _, err = run(capsys, "purge")
    assert status == 2
    assert "add --yes" in err
    assert run(capsys, "purge", "--only", "held", "--yes")[:2] == (0, "1 removed.\n")
    terminal = io.StringIO("n\ny\n")
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", terminal)
    assert run(capsys, "purge")[:2] == (
        1,
        "Remove 2 waiting, 1 set aside? They will not be sent. [y/N] Nothing was removed.\n",
    )
    assert run(capsys, "purge")[0] == 0
    assert run(capsys, "purge")[:2] == (0, "Nothing to remove.\n")


@pytest.mark.parametrize("command", ["status", "flush", "show", "release", "replay", "export", "import", "purge"])
def test_every_subcommand_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["spool", command, "--help"])
    assert ended.value.code == 0
    assert "usage: python -m agent spool " + command in capsys.readouterr().out


@pytest.mark.parametrize(("command", "state"), [("release", "held back"), ("replay", "set aside")])
def test_nothing_to_move_is_stated(place, capsys, command, state):
    assert run(capsys, command) == (0, f"Nothing is {state}.\n", "")
    assert run(capsys, command, "f00") == (1, "", f"no envelope that is {state} has an ID starting with 'f00'\n")


def test_status_shows_how_many_of_what_is_held_back_are_traces(place, capsys, monkeypatch):
    """`events` lists none of them, and its number must be understood."""
    monkeypatch.delenv("SENTRY_DSN", raising=False)
    fill(2, held=True)
    main(["status"])
    assert "0 waiting, 2 held back, 0 set aside" in capsys.readouterr().out
    fill(3, held=True, category="transaction")
    main(["status"])
    assert "0 waiting, 5 held back (3 of them traces), 0 set aside" in capsys.readouterr().out
