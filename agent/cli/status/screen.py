"""A terminal that a program draws on: its size, its keys, and its state before, which it gets back in any case."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..terminal import has_cursor, put

_SIZE = (80, 24)

#: What terminals send for keys that have no character.
_KEYS = {
    b"\x1b[A": "up", b"\x1bOA": "up", b"\x1b[B": "down", b"\x1bOB": "down", b"\x1b[5~": "page up",
    b"\x1b[6~": "page down", b"\x1b[H": "home", b"\x1b[1~": "home", b"\x1bOH": "home", b"\x1b[F": "end",
    b"\x1b[4~": "end", b"\x1bOF": "end", b"\r": "enter", b"\n": "enter", b"\x7f": "backspace", b"\x08": "backspace",
    b"\x1b": "escape", b"\x04": "q",
}  # fmt: skip
_ENTER = "\x1b[?1049h\x1b[?25l"  # another screen, without a cursor
_LEAVE = "\x1b[?25h\x1b[?1049l"


def size() -> tuple[int, int]:
    """(columns, lines) of the terminal on stdout."""
    try:
        found = os.get_terminal_size(sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        return _SIZE
    return found.columns or _SIZE[0], found.lines or _SIZE[1]


def height() -> int:
    return size()[1]


def can_draw() -> bool:
    """Are stdin and stdout a terminal that can be drawn on?"""
    try:
        return has_cursor() and os.isatty(sys.stdin.fileno())
    except (ValueError, AttributeError, OSError):
        return False


class Interrupted(BaseException):
    """A signal ends the program: the terminal is restored first."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Screen:
    """Made by `drawing`."""

    def __init__(self, keyboard: int, wake: int) -> None:
        self._keyboard = keyboard
        self._wake = wake

    def draw(self, lines: list[str]) -> None:
        """Show these lines, as many as there is room for."""
        shown = lines[: height()]
        put("\x1b[H" + "\n".join(f"{line}\x1b[K" for line in shown) + "\x1b[J")

    def keys(self, timeout: float) -> list[str]:
        """Wait for keys at most `timeout` seconds: characters, or names such as `up`. [] also where the size changes.

        Raises EOFError where the terminal is gone.
        """
        ready, _, _ = select.select([self._keyboard, self._wake], [], [], timeout)
        if self._wake in ready:
            os.read(self._wake, 4096)
        if self._keyboard not in ready:
            return []
        data = os.read(self._keyboard, 1024)
        if not data:
            raise EOFError
        return list(parsed(data))


def parsed(data: bytes) -> Iterator[str]:
    """The keys in what a terminal sent."""
    while data:
        sequence = next((each for each in sorted(_KEYS, key=len, reverse=True) if data.startswith(each)), None)
        if sequence == b"\x1b" and data[1:2] in (b"[", b"O"):  # a key that has no meaning here
            end = next((at for at in range(2, len(data)) if 0x40 <= data[at] <= 0x7E), len(data) - 1)
            data = data[end + 1 :]
            continue
        if sequence is not None:
            yield _KEYS[sequence]
            data = data[len(sequence) :]
            continue
        length = next((each for each in range(1, 5) if _decoded(data[:each])), 1)
        character = _decoded(data[:length])
        data = data[length:]
        if character.isprintable() and character:
            yield character


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return ""


@contextmanager
def drawing() -> Iterator[Screen]:
    """Take the terminal over: no echo, each key at once, another screen. It gets back what it had, whatever happens.

    SIGTERM and SIGHUP end the block with Interrupted; Ctrl-Z stops the program on the terminal as it was before.
    """
    import termios
    import tty

    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)

    def enter() -> None:
        tty.setcbreak(keyboard, termios.TCSANOW)
        put(_ENTER)

    def leave() -> None:
        termios.tcsetattr(keyboard, termios.TCSANOW, before)
        put(_LEAVE)

    def end(number: int, _: Any) -> None:
        raise Interrupted(number)

    def stop(_: int, __: Any) -> None:
        leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        enter()

    handlers: dict[int, Any] = {signal.SIGTERM: end, signal.SIGHUP: end, signal.SIGTSTP: stop}
    handlers[signal.SIGWINCH] = lambda *_: None  # which writes to the pipe
    old = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    old_wake = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        enter()
        yield Screen(keyboard, reader)
    finally:
        try:
            leave()
        except (OSError, termios.error, ValueError):
            pass  # the terminal is gone
        signal.set_wakeup_fd(old_wake)
        for number, handler in old.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
