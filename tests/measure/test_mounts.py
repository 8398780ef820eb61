"""Which file systems are known to be this machine's own; the kernel's files are stood in for."""

from __future__ import annotations

import os

import pytest

from agent.measure.mounts import is_local

TABLE = """\
21 27 0:20 / /sys rw,relatime - sysfs sysfs rw
27 1 254:0 / / rw,relatime shared:1 master:2 - {0} /dev/vda rw,discard
28 27 0:25 / /mnt/with\\040blank rw - tmpfs none rw
"""


@pytest.fixture
def proc(tmp_path):
    (tmp_path / "fdinfo").mkdir()

    def with_tables(table, facts="pos:\t0\nflags:\t02200000\nmnt_id:\t27\nino:\t5\n"):
        for descriptor in range(max(map(int, os.listdir("/proc/self/fd"))) + 2):  # whichever the folder will have
            (tmp_path / "fdinfo" / str(descriptor)).write_text(facts)
        (tmp_path / "mountinfo").write_text(table)
        return str(tmp_path)

    return with_tables


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "f2fs"])
def test_disks_of_this_machine(proc, tmp_path, kind):
    assert is_local(str(tmp_path), proc(TABLE.format(kind)))


@pytest.mark.parametrize(
    "kind",
    ["nfs", "nfs4", "cifs", "smb3", "fuse", "fuse.sshfs", "fuseblk", "9p", "virtiofs", "ceph", "lustre", "afs", "ext5"],
)
def test_network_and_unknown_file_systems_are_not_local(proc, tmp_path, kind):
    assert not is_local(str(tmp_path), proc(TABLE.format(kind)))


@pytest.mark.parametrize(
    ("table", "facts"),
    [
        (TABLE.format("ext4"), "pos:\t0\nflags:\t0\n"),  # before Linux 3.15
        (TABLE.format("ext4"), "mnt_id:\n"),
        (TABLE.format("ext4"), "mnt_id:\t99\n"),
        ("27 1 254:0 / / rw,relatime\n", "mnt_id:\t27\n"),
        ("27 1 254:0 / / rw,relatime -", "mnt_id:\t27\n"),
        ("", "mnt_id:\t27\n"),
    ],
)
def test_tables_that_do_not_tell(proc, tmp_path, table, facts):
    assert not is_local(str(tmp_path), proc(table, facts))


def test_where_there_is_no_proc_or_no_folder(proc, tmp_path):
    assert not is_local(str(tmp_path), str(tmp_path / "none"))
    assert not is_local(str(tmp_path / "none"), proc(TABLE.format("ext4")))


def test_the_tables_of_this_kernel():
    assert not is_local("/proc")
    assert not is_local("/sys")
