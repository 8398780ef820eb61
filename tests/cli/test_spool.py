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

NO_DSN = "no DSN is set here, so nothing can be sent from here"


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
    where = options.look(Arguments())
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
    where = options.look(Arguments())
    lying = clients.spool_for(Route(dsn, "sentry.python/2", http_proxy=""), where.spool_settings, where.state, print)
    ids = []
    for _ in range(number):
        one = envelope()
        ids.append(one.event_id)
        lying.write(one)
    return lying, ids


def say(capsys, *arguments):
    status = main(["spool", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_status_of_nothing(place, capsys):
    status, out, err = say(capsys, "status")
    assert (status, err) == (0, "")
    assert [line.split(None, 1)[1] for line in out.splitlines()[1:3]] == ["nothing", "back   nothing"]
    assert not os.path.exists(spool().directory)


def test_status_says_what_waits_since_when_and_why(place, capsys):
    fill(2)
    fill(1, category="transaction")
    fill(1, held=True)
    set_aside()
    status, out, _ = say(capsys, "status")
    assert status == 1  # something was set aside
    assert "2 error, 1 transaction; " in out
    assert "the oldest since 20" in out
    assert NO_DSN in out
    assert "captured without a DSN; to let them be sent: python -m agent spool release" in out
    assert "1 × HTTP 413: too large" in out
    facts = json.loads(say(capsys, "status", "--format", "json")[1])
    assert facts["waiting"]["categories"] == {"error": 2, "transaction": 1}
    assert facts["held_back"]["number"] == 1
    assert facts["why"] == [NO_DSN]
    assert facts["reasons"] == {"HTTP 413: too large": 1}


def test_status_tells_the_last_failure_and_the_limits_that_are_in_force(place, receiver, capsys):
    fill(2)
    from receiver import Answer

    receiver.program(Answer(429, {"X-Sentry-Rate-Limits": "600:error:key"}))
    assert say(capsys, "flush", "--timeout", "2")[0] == 1
    _, out, _ = say(capsys, "status")
    assert "the last try: HTTP 429" in out
    assert "Sentry asks us to wait with error: " in out
    assert say(capsys, "status")[0] == 0


def test_status_counts_losses_from_the_state_files(place, capsys):
    where = options.look(Arguments())
    health = Health(os.path.join(where.state, "run"), where.config)
    health.count("spool-full", "transaction", 7)
    health.count("captured", "m", 3)
    health.flush(final=True)
    status, out, _ = say(capsys, "status")
    assert status == 1
    assert "7 spool-full" in out


def test_a_disk_that_held_up_the_process_is_told_by_the_agents_own_status(place, capsys):
    where = options.look(Arguments())
    health = Health(os.path.join(where.state, "run"), where.config)
    health.count("slow-disk", "spool", 2)
    health.flush(final=True)
    assert main(["status"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "slow disk: 2 times it held up other threads while events were written (delivery.spool.keep_interpreter" in said
    )
    assert say(capsys, "status")[0] == 0  # nothing is lost


def test_flush_delivers_what_waits_and_not_what_is_held_back(place, receiver, capsys):
    ids = fill(3)
    held = fill(2, held=True)
    status, out, err = say(capsys, "flush")
    assert (status, err) == (0, "")
    assert out.splitlines() == ["3 delivered.", "2 held back; to let them be sent: python -m agent spool release"]
    assert receiver.ids == ids
    assert say(capsys, "flush")[1].startswith("Nothing waits. 2 held back")
    assert say(capsys, "release", held[0][:8])[:2] == (
        0,
        "1 released: the next delivery takes them (at once: python -m agent spool flush).\n",
    )
    assert say(capsys, "release")[0] == 0
    assert say(capsys, "flush")[0] == 0
    assert set(receiver.ids) == {*ids, *held}


def test_flush_that_cannot_deliver_says_why(place, receiver, capsys):
    fill(1)
    receiver.program(default=503)
    status, out, _ = say(capsys, "flush", "--timeout", "0.3")
    assert status == 1
    assert "0 delivered." in out
    assert "1 still waiting: HTTP 503" in out


def test_flush_without_a_dsn_cannot_run(place, capsys):
    fill(1)
    status, _, err = say(capsys, "flush")
    assert status == 2
    assert "no DSN: set SENTRY_DSN" in err


def test_show_lists_everything_and_one_whole(place, capsys):
    (waits,) = fill(1)
    (held,) = fill(1, held=True)
    aside = set_aside()
    _, out, _ = say(capsys, "show")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[:1]] == ["CAPTURED"]
    assert [(i in line, s in line) for i, s, line in zip((waits, held, aside), ("waiting", "held back", "set aside"), lines[1:])] == [(True, True)] * 3  # fmt: skip
    assert "HTTP 413" in lines[3]
    for event_id in (waits, held, aside):
        _, out, _ = say(capsys, "show", event_id[:10])
        assert '"type": "event"' in out
        assert event_id in out
    status, _, err = say(capsys, "show", "zzz")
    assert status == 2
    assert "no envelope has an id" in err


def test_a_time_that_is_none_is_told_so(place, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["spool", "flush", "--timeout", "soon"])
    assert ended.value.code == 2
    assert "'soon' is no number of seconds such as 60" in capsys.readouterr().err


def test_replay_puts_back_what_was_set_aside(place, receiver, capsys):
    first, second = set_aside(), set_aside()
    assert say(capsys, "replay", first)[0] == 0
    status, _, err = say(capsys, "replay", "nope")
    assert status == 1
    assert "nothing that is set aside" in err
    assert say(capsys, "replay")[1].startswith("1 back")
    assert say(capsys, "flush")[0] == 0
    assert set(receiver.ids) == {first, second}


def test_export_and_import_carry_envelopes_over_an_air_gap(place, tmp_path, capsys, monkeypatch):
    ids = fill(2) + fill(1, held=True)
    file = tmp_path / "out.tar"
    status, out, _ = say(capsys, "export", str(file), "--remove")
    assert (status, out) == (0, f"3 envelopes in {file}, 3 removed here.\n")
    assert os.stat(file).st_mode & 0o777 == 0o600
    assert spool().entries() == []
    assert say(capsys, "export", str(file))[0] == 2
    monkeypatch.setenv("AGENT_STATE_DIR", str(tmp_path / "elsewhere"))
    status, out, _ = say(capsys, "import", str(file))
    assert (status, out) == (0, "3 taken in, held back (no DSN is set here); 0 lay here already.\n")
    with Receiver() as receiver:
        monkeypatch.setenv("SENTRY_DSN", receiver.dsn)
        say(capsys, "purge", "--yes")
        assert say(capsys, "import", str(file))[1] == "3 taken in, waiting; 0 lay here already.\n"
        assert say(capsys, "import", str(file))[1] == "0 taken in, waiting; 3 lay here already.\n"
        assert say(capsys, "flush")[0] == 0
        assert set(receiver.ids) == set(ids)


def test_what_hosts_own_clients_send_is_shown_flushed_and_purged_apart(place, capsys, monkeypatch):
    (own,) = fill(1)
    with Receiver() as theirs:
        _, (first, second) = of_a_client(theirs.dsn, 2)
        where = f"http://127.0.0.1:{theirs.port}/42"
        status, out, _ = say(capsys, "status")
        assert status == 0
        assert f"client      the host's own, which sends to {where}" in out
        assert "public" not in out, "no key is shown"
        facts = json.loads(say(capsys, "status", "--format", "json")[1])
        assert facts["waiting"]["number"] == 1
        assert [(each["client_of"], each["waiting"]["number"]) for each in facts["clients"]] == [(where, 2)]
        rows = {line.split()[-2]: line.split()[-1] for line in say(capsys, "show")[1].splitlines()[1:]}
        assert rows == {own: "-", first: where, second: where}
        assert f"of a client of the host's own for {where}" in say(capsys, "show", first)[1]
        status, out, _ = say(capsys, "flush")  # without a DSN of the agent's: only the client's
        assert (status, out) == (0, f"2 delivered to {where} for the host's own client.\n")
        assert theirs.ids == [first, second]
        _, (third,) = of_a_client(theirs.dsn)
        assert say(capsys, "purge", "--yes")[:2] == (0, "2 removed.\n")
        assert say(capsys, "show", third)[0] == 2


def test_an_export_says_whose_a_clients_envelopes_are(place, tmp_path, capsys, monkeypatch):
    (own,) = fill(1)
    file = tmp_path / "out.tar"
    with Receiver() as theirs:
        _, (first,) = of_a_client(theirs.dsn)
        assert say(capsys, "export", str(file), "--remove")[1] == f"2 envelopes in {file}, 2 removed here.\n"
        monkeypatch.setenv("AGENT_STATE_DIR", str(tmp_path / "elsewhere"))
        said = "2 taken in, held back (no DSN is set here); 0 lay here already. 1 of them for the Sentries of the host's own clients.\n"
        assert say(capsys, "import", str(file))[:2] == (0, said)
        assert say(capsys, "import", str(file))[1].startswith("0 taken in, held back (no DSN is set here); 2 lay here")
        assert say(capsys, "flush")[0] == 0
        assert theirs.ids == [first]
        assert [entry.event_id for entry in spool().entries()] == [own]


def test_a_beginning_that_several_ids_share_is_no_id(place, capsys):
    for tail in "ab":
        spool().write(envelope(event_id="c0ffee" + tail * 26))
    status, _, err = say(capsys, "show", "c0ffee")
    assert status == 2
    assert "2 envelopes have an id that begins with 'c0ffee'" in err
    assert say(capsys, "show", "c0ffeea")[0] == 0


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
    status, out, err = say(capsys, "import", str(file))
    assert status == 1
    assert out.startswith("0 taken in")
    assert len(err.splitlines()) == 5
    (tmp_path / "no.tar").write_text("nothing")
    for path in ("no.tar", "missing.tar"):
        status, _, err = say(capsys, "import", str(tmp_path / path))
        assert status == 2
        assert path in err


def test_purge_asks_or_is_told(place, capsys, monkeypatch):
    fill(2)
    fill(1, held=True)
    set_aside()
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    status, _, err = say(capsys, "purge")
    assert status == 2
    assert "add --yes" in err
    assert say(capsys, "purge", "--only", "held", "--yes")[:2] == (0, "1 removed.\n")
    terminal = io.StringIO("n\ny\n")
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", terminal)
    assert say(capsys, "purge")[:2] == (1, "Remove 2 waiting, 1 set aside for good? [y/N] Nothing was removed.\n")
    assert say(capsys, "purge")[0] == 0
    assert say(capsys, "purge")[:2] == (0, "Nothing to remove.\n")


@pytest.mark.parametrize("command", ["status", "flush", "show", "release", "replay", "export", "import", "purge"])
def test_every_subcommand_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["spool", command, "--help"])
    assert ended.value.code == 0
    assert "usage: python -m agent spool " + command in capsys.readouterr().out
