"""The release of the ERP where none is configured: the commit that is checked out, read from git's files.

git itself is not run: a host does not expect a child process, and the image may not contain git.
"""

from __future__ import annotations

import os
import sys

from ...base.interrupts import ours

_HIGHEST = 12  # folders to climb


def of_checkout() -> str | None:
    """The commit of the checkout that contains the program or the current folder, 40 hexadecimal digits, or None."""
    program = (getattr(sys, "argv", None) or [""])[0]
    try:
        folders = [os.path.dirname(os.path.abspath(program)) if program else "", os.getcwd()]
    except ours(OSError):  # the current folder was removed
        folders = []
    for folder in folders:
        commit = _commit(folder) if folder else None
        if commit is not None:
            return commit
    return None


def _commit(folder: str) -> str | None:
    for _ in range(_HIGHEST):
        git = os.path.join(folder, ".git")
        if os.path.exists(git):
            try:
                return _head(git)
            except ours(OSError, ValueError):
                return None
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent
    return None


def _head(git: str) -> str | None:
    if os.path.isfile(git):  # a worktree or submodule: "gitdir: …"
        git = os.path.join(os.path.dirname(git), _read(git).partition("gitdir:")[2].strip())
    head = _read(os.path.join(git, "HEAD")).strip()
    if not head.startswith("ref:"):
        return head if _is_commit(head) else None
    name = head[4:].strip()
    common = os.path.join(git, "commondir")
    homes = [git, os.path.join(git, _read(common).strip())] if os.path.isfile(common) else [git]
    for home in homes:
        file = os.path.join(home, *name.split("/"))
        if os.path.isfile(file):
            commit = _read(file).strip()
            return commit if _is_commit(commit) else None
    for home in homes:
        packed = os.path.join(home, "packed-refs")
        if os.path.isfile(packed):
            for line in _read(packed).splitlines():
                commit, _, ref = line.partition(" ")
                if ref.strip() == name and _is_commit(commit):
                    return commit
    return None


def _read(file: str) -> str:
    with open(file, encoding="utf-8", errors="replace") as stream:
        return stream.read(1 << 20)


def _is_commit(text: str) -> bool:
    return len(text) in (40, 64) and all(digit in "0123456789abcdef" for digit in text)
