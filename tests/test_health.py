"""Counting what a process did, from all of its threads at once."""

import os
import sys
import threading

from agent.cli.status import read_processes
from agent.health import Health, alive, pid_in


def test_no_count_is_lost_between_threads(tmp_path):
    health = Health(str(tmp_path), "monitors.yaml")

    def count(number):
        for _ in range(20_000):
            health.count("rate", "shared")
        health.count("rate", f"own {number}", 5)

    threads = [threading.Thread(target=count, args=(number,)) for number in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    own = {("rate", f"own {number}"): 5 for number in range(4)}
    assert health.counts == {("rate", "shared"): 80_000, **own}


def test_a_pipe_in_the_place_of_a_state_file_keeps_nobody_waiting(tmp_path):
    run = tmp_path / "run"
    health = Health(str(run), "monitors.yaml")
    health.count("captured", "m")
    health.flush()
    (file,) = run.iterdir()
    file.unlink()
    os.mkfifo(file, 0o600)
    health.count("captured", "m")
    health.flush(final=True)
    assert "No such device" in health.unwritable  # nobody reads from it
    assert read_processes(str(run)) == []


def test_a_state_file_that_is_no_such_file_is_not_read(tmp_path):
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    line = repr(("process", os.getpid(), 1.0, "web.py", "3.11", "monitors.yaml", "")) + "\n"
    for name in ("good", "link", "others", "folder", "huge", "words"):
        file = run / f"{name}.state"
        if name == "link":
            file.symlink_to(run / "good.state")
        elif name == "folder":
            file.mkdir()
        else:
            file.write_text("(((((" * 9000 + "\n" + line.replace("1.0", "'x'") if name == "words" else line)
        if name == "others":
            file.chmod(0o666)
        if name == "huge":
            os.truncate(file, 1 << 40)
    assert sorted(os.path.basename(process.file) for process in read_processes(str(run))) == [
        "good.state",
        "words.state",
    ]


def test_processes_that_cannot_be():
    assert [pid_in(text) for text in ("12", "", "-1", "0x1", "9" * 23, "\N{SUPERSCRIPT TWO}", "1 ")] == [12, *[0] * 6]
    assert [alive(pid) for pid in (os.getpid(), 0, -1, 10**10, 10**30)] == [True, False, False, False, False]
