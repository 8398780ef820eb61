"""A file for node_exporter's textfile collector, which reads `*.prom` in a folder, as another user, at any moment."""

from __future__ import annotations

import os

from ...base import own_folders
from ...base.errors import AgentError
from ..terminal import shown_path

_MODE = 0o644  # node_exporter runs as a user of its own


def path_in(folder: str, configuration: str) -> str:
    """A name for each configuration: two on one machine do not overwrite each other. Raises AgentError."""
    if not os.path.isdir(folder):
        what = f"make it, and start node_exporter with --collector.textfile.directory={folder}"
        raise AgentError(f"{shown_path(folder)} is no folder: {what}")
    return os.path.join(folder, f"erp_agent_{configuration}.prom")


def write(path: str, text: str) -> None:
    """A reader gets the old file or the new one. Raises AgentError."""
    try:
        own_folders.replace(path, text.encode("utf-8", "backslashreplace"), _MODE)
    except OSError as error:
        raise AgentError(f"{path} cannot be written: {error.strerror or error}") from None
