"""Finds out whether a folder is on a local file system, where a write waits for no network and no other program."""

from __future__ import annotations

import os

from ..base.interrupts import ours

_LOCAL = frozenset(
    ("ext2", "ext3", "ext4", "xfs", "btrfs", "bcachefs", "f2fs", "jfs", "reiserfs", "zfs", "tmpfs", "ramfs", "rootfs",
     "overlay")
)  # fmt: skip


def is_local(folder: str, proc: str = "/proc/self") -> bool:
    """Return False also for unknown file systems, and where the system does not provide their type."""
    return type_of(folder, proc) in _LOCAL


def type_of(folder: str, proc: str = "/proc/self") -> str:
    """Return the kernel's name ("ext4", "nfs4", "fuse.sshfs"), or "" if it cannot be found out."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            facts = _lines(f"{proc}/fdinfo/{descriptor}")
        finally:
            os.close(descriptor)
        mount = next(line.split()[1] for line in facts if line.startswith("mnt_id:"))
        # "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw": the optional fields end with a dash
        fields = next(line.split() for line in _lines(f"{proc}/mountinfo") if line.split()[:1] == [mount])
        return fields[fields.index("-") + 1]
    except ours(OSError, StopIteration, ValueError, IndexError):
        return ""


def _lines(path: str) -> list[str]:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read().splitlines()
