"""What a command or a compiler keeps in the state folder, to be faster the next time; any of it may be gone."""

from __future__ import annotations

import marshal
import os
from typing import Any

from ..base import own_folders, places


def read(file: str) -> Any:
    """The value; None where there is none that is whole, and our own."""
    try:
        descriptor, _ = places.open_own(file)
        with open(descriptor, "rb") as stream:
            data = stream.read()
        if data[: places.CHECKSUM] == places.checksum(b"", 0, data[places.CHECKSUM :]):
            return marshal.loads(data[places.CHECKSUM :])  # noqa: S302  (our own)
    except (OSError, ValueError, EOFError, TypeError):
        pass
    return None


def write(file: str, value: Any, *, make_folder: bool = False) -> None:
    """Plain values only. Where it cannot be written, the next time takes as long as this one.

    Only the ERP's own user makes the folder: whoever else made it would keep the ERP's processes out of it.
    """
    data = marshal.dumps(value)
    try:
        if make_folder:
            own_folders.make(os.path.dirname(file))
        own_folders.check_own(os.path.dirname(file))
        own_folders.replace(file, places.checksum(b"", 0, data) + data)
    except OSError:
        return


def code_of(*rooms: str) -> list[tuple[str, Any]]:
    """What distinguishes this release of these rooms: each file with its stamp."""
    folders = [os.path.join(places.PACKAGE, room) for room in rooms]
    files = [os.path.join(folder, name) for room in folders for folder, _, names in os.walk(room) for name in names]
    return [(file, places.stamp(file)) for file in sorted(files) if file.endswith(".py")]
