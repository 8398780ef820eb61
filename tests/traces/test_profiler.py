"""Profiles: which stacks are sampled, what is kept of them, when it ends, and what Sentry gets."""

import gc
import json
import os
import sys
import threading
import types
import weakref
from _thread import get_ident

import pytest

from agent.observe.call import callers
from agent.traces import profile_item, profiler

SOURCE = """
def outer(gate):
    secret = "4111 1111 1111 1111"
    return inner(gate)
def inner(gate):
    gate.wait()
    return 1
def deep(gate, left):
    return deep(gate, left - 1) if left else inner(gate)
"""


@pytest.fixture
def shop(tmp_path, monkeypatch):
    path = tmp_path / "shop.py"
    path.write_text(SOURCE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    module = types.ModuleType("shop")
    module.__file__ = str(path)
    exec(compile(SOURCE, str(path), "exec"), module.__dict__)
    return module


class Waiting:
    """A thread that waits in `inner`, until the test lets it go on."""

    def __init__(self, call, *arguments):
        self.gate = threading.Event()
        self.thread = threading.Thread(target=call, args=(self.gate, *arguments), name="order-thread", daemon=True)
        self.thread.start()
        while not any(frame.f_code.co_name == "inner" for frame in self._frames()):
            threading.Event().wait(0.001)
        self.ident = self.thread.ident

    def _frames(self):
        frame = sys._current_frames().get(self.thread.ident)
        while frame is not None:
            yield frame
            frame = frame.f_back

    def go_on(self):
        self.gate.set()
        self.thread.join()


def functions(profile, stack):
    return [profile.places[number][0].co_name for number in stack]


def take(profile, now):
    profile.take(now, sys._current_frames(), callers.own_code)


def item(profile):
    transaction = {
        "event_id": "a" * 32, "transaction": "/orders/", "start_timestamp": 1.8e9 + 0.25, "environment": "test", "release": "shop@1",
        "contexts": {"trace": {"trace_id": "c" * 32}, "profile": {"profile_id": "b" * 32}, "runtime": {"name": "CPython"}},
    }  # fmt: skip
    return profile_item.encoded(profile, transaction)


def test_the_stacks_of_the_threads_of_a_trace_are_sampled_and_no_others(shop):
    ours, others = Waiting(shop.outer), Waiting(shop.outer)
    profile = profiler.Profile(100.0, lambda: [ours.ident, ours.ident, 12345])
    take(profile, 100.25)
    take(profile, 100.5)
    ours.go_on()
    others.go_on()
    take(profile, 100.75)  # the thread is gone
    assert [(elapsed, ident) for elapsed, ident, _ in profile.samples] == [(0.25, ours.ident), (0.5, ours.ident)]
    assert len(profile.stacks) == 1, "equal stacks are one"
    names = functions(profile, profile.stacks[0])
    assert names[names.index("inner") : names.index("inner") + 3] == ["inner", "outer", "run"], "innermost first"
    assert [line for code, line, *_ in profile.places if code.co_name == "inner"] == [6]


def test_what_sentry_gets(shop):
    waiting = Waiting(shop.outer)
    profile = profiler.Profile(0.0, lambda: [waiting.ident])
    take(profile, 0.01)
    take(profile, 1.0)
    sent = json.loads(item(profile))
    waiting.go_on()
    assert sent["version"] == "1"
    assert sent["event_id"] == "b" * 32
    assert sent["platform"] == "python"
    assert sent["transaction"] == {
        "id": "a" * 32, "name": "/orders/", "trace_id": "c" * 32, "active_thread_id": str(get_ident()),
    }  # fmt: skip
    assert sent["timestamp"] == "2027-01-15T08:00:00.250000Z"
    assert all(sent["device"].values())
    assert all(sent["os"].values())
    held = sent["profile"]
    assert [each["elapsed_since_start_ns"] for each in held["samples"]] == ["10000000", "1000000000"]
    assert {each["thread_id"] for each in held["samples"]} == set(held["thread_metadata"]) == {str(waiting.ident)}
    assert held["thread_metadata"][str(waiting.ident)] == {"name": "order-thread"}
    stack = [held["frames"][number] for number in held["stacks"][held["samples"][0]["stack_id"]]]
    inner = next(frame for frame in stack if frame["function"] == "inner")
    assert (inner["filename"], inner["module"], inner["lineno"], inner["in_app"]) == ("shop.py", "shop", 6, True)
    assert not any(frame["in_app"] for frame in stack if frame["filename"].startswith("threading"))
    assert "4111" not in json.dumps(sent)
    assert not any("context_line" in frame or "vars" in frame for frame in held["frames"])


def test_paths_and_names_are_scrubbed_as_in_events(shop):
    code = shop.inner.__code__.replace(co_filename="/srv/password=hunter2/shop.py", co_name="inner")
    profile = profiler.Profile(0.0, list)
    profile.places.append((code, 6, "shop", None))
    profile.samples += [(0.0, 1, 0), (0.1, 1, 0)]
    profile.stacks.append((0,))
    assert b"hunter2" not in item(profile)


def test_a_deep_stack_is_cut_at_its_outer_end(shop):
    waiting = Waiting(shop.deep, 400)
    profile = profiler.Profile(0.0, lambda: [waiting.ident])
    take(profile, 0.1)
    waiting.go_on()
    assert len(profile.stacks[0]) <= profiler.DEEPEST
    assert "inner" in functions(profile, profile.stacks[0])


def test_a_profile_is_full_after_thirty_seconds(shop):
    waiting = Waiting(shop.outer)
    profile = profiler.Profile(0.0, lambda: [waiting.ident])
    take(profile, 30.0)
    assert not profile.full
    take(profile, 30.01)
    waiting.go_on()
    assert profile.full
    assert len(profile.samples) == 1


def test_a_profile_of_many_different_stacks_is_bounded(shop, monkeypatch):
    monkeypatch.setattr(profiler, "MOST_FRAMES", 3)
    waiting = Waiting(shop.outer)
    profile = profiler.Profile(0.0, lambda: [waiting.ident])
    for number in range(5):
        take(profile, number / 100)
    waiting.go_on()
    assert profile.full
    assert len(profile.samples) == 1


def test_no_frame_and_no_value_of_the_hosts_is_held(shop):
    class Order:
        pass

    held = weakref.ref(order := Order())
    seen = []

    def work(gate, order):
        seen.append(order.__class__)
        shop.inner(gate)

    waiting = Waiting(work, order)
    profile = profiler.Profile(0.0, lambda: [waiting.ident])
    take(profile, 0.1)
    waiting.go_on()
    waiting.thread._args = ()
    del order, waiting.thread
    gc.collect()
    assert held() is None
    assert profile.samples


def test_code_of_the_agents_is_left_out(shop):
    waiting = Waiting(shop.outer)
    profile = profiler.Profile(0.0, lambda: [waiting.ident])
    profile.take(0.1, sys._current_frames(), lambda code: code.co_name == "inner")
    waiting.go_on()
    assert "inner" not in functions(profile, profile.stacks[0])
    assert "outer" in functions(profile, profile.stacks[0])


@pytest.mark.parametrize("samples", [0, 1, 2])
def test_one_look_is_no_profile(samples):
    profile = profiler.Profile(0.0, list)
    profile.samples += [(0.0, 1, 0)] * samples
    assert profile.is_valid == (samples >= 2)


def test_the_thread_lives_while_something_is_profiled(shop):
    sampler = profiler.Sampler()
    waiting = Waiting(shop.outer)
    before = set(sys._current_frames())
    profile = profiler.Profile(0.0, lambda: [waiting.ident])
    began = profiler.clocks.perf_counter()
    profile.began = began
    assert sampler.begin(profile)
    while len(profile.samples) < 3:
        threading.Event().wait(0.005)
    assert len(set(sys._current_frames()) - before) == 1
    sampler.end(profile)
    while set(sys._current_frames()) - before:
        threading.Event().wait(0.005)
    count = len(profile.samples)
    waiting.go_on()
    main = get_ident()
    again = profiler.Profile(profiler.clocks.perf_counter(), lambda: [main])
    sampler.begin(again)
    while len(again.samples) < 2:
        threading.Event().wait(0.005)
    sampler.end(again)
    assert len(profile.samples) == count


def test_too_many_profiles_at_a_time_are_refused(monkeypatch):
    sampler = profiler.Sampler()
    monkeypatch.setattr(sampler, "wake", lambda: None)
    made = [profiler.Profile(0.0, list) for _ in range(21)]
    assert [sampler.begin(each) for each in made] == [True] * 20 + [False]
    sampler.end(made[0])
    assert sampler.begin(made[20])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_has_no_profile_and_no_thread(shop):
    sampler = profiler.Sampler()
    profile = profiler.Profile(profiler.clocks.perf_counter(), lambda: [main])
    main = get_ident()
    sampler.begin(profile)
    while len(profile.samples) < 2:
        threading.Event().wait(0.005)
    assert profile.is_valid
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            sampler.after_fork()
            code = int(profile.is_valid or bool(sampler.profiles))
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    sampler.end(profile)


def test_greenlets_in_place_of_threads_are_noticed(monkeypatch):
    assert not profiler.threads_are_greenlets()
    monkeypatch.setattr(sys.modules["_thread"], "start_new_thread", lambda *_: 1)
    assert profiler.threads_are_greenlets()


@pytest.mark.parametrize(("rate", "share"), [(0.0, 0.0), (1.0, 1.0), (0.1, 0.1)])
def test_a_share_of_the_traces_is_profiled(monkeypatch, rate, share):
    monkeypatch.setattr(profiler.Sampler, "wake", lambda self: None)
    profiles = profiler.Profiles(rate, pytest.fail)
    made = [profiles.begin(0.0, list) for _ in range(2_000) if not profiles.sampler.profiles.clear()]
    assert abs(sum(each is not None for each in made) / 2_000 - share) < 0.05


def test_where_threads_are_greenlets_nothing_is_profiled_and_status_shows_it_once(monkeypatch):
    notes = []
    profiles = profiler.Profiles(1.0, notes.append)
    monkeypatch.setattr(sys.modules["_thread"], "start_new_thread", lambda *_: 1)
    assert [profiles.begin(0.0, list) for _ in range(3)] == [None] * 3
    assert notes == [profiler.GREENLETS]


def test_a_full_profile_is_followed_no_more():
    now = [0.0]
    sampler = profiler.Sampler(lambda: now[0])
    sampler.wake = lambda: None
    profile = profiler.Profile(0.0, lambda: [get_ident()])
    sampler.begin(profile)
    sampler.look()
    now[0] = 31.0
    sampler.look()
    assert sampler.profiles == {}
    assert len(profile.samples) == 1


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="other versions need no pause")
def test_nothing_is_collected_while_stacks_are_read():
    collects = []
    sampler = profiler.Sampler(lambda: 0.0)
    sampler.profiles[1] = profiler.Profile(0.0, lambda: [get_ident() for _ in [collects.append(gc.isenabled())]])
    sampler.look()
    assert collects == [False]
    assert gc.isenabled()
