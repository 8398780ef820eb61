"""For root: the same command once more as each other user who has processes of this configuration.

A server that root starts gives its workers to another user, and these have a state folder of their own. Root does not
write into it: what lies there is that user's, and so is a file that the command makes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from ...base import places
from ..options import Configured
from ..state import other_folders
from ..terminal import err, out


def begin(configured: Configured, *, quiet: bool = False) -> list[subprocess.Popen[bytes]]:
    """Start the command as these users. They print for themselves."""
    started = []
    for other in other_folders.readable(configured.config, configured.state) if not places.user else ():
        if not other.processes or not other.user:
            continue
        name = other_folders.user_name(other.user)
        if not quiet:
            out(f"as {name}, whose processes have the state folder {other.folder}:")
            sys.stdout.flush()
        paths = os.path.dirname(places.PACKAGE), os.environ.get("PYTHONPATH", "")
        environment = {
            **os.environ, "AGENT_CONFIG": configured.config, "AGENT_STATE_DIR": os.path.dirname(other.folder),
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        }  # fmt: skip
        words = [sys.executable, "-m", "agent", *sys.argv[1:]]
        group = os.lstat(other.folder).st_gid
        try:
            started.append(subprocess.Popen(words, env=environment, user=other.user, group=group, extra_groups=[]))
        except OSError as error:
            err(f"{name} cannot run {sys.executable}: {error}; run this command as {name}")
    return started


def wait(started: list[subprocess.Popen[bytes]], *, interrupt: bool = False) -> int:
    """The highest exit status. `interrupt`: as Ctrl-C does."""
    for each in started if interrupt else ():
        each.send_signal(signal.SIGINT)
    return max([each.wait() for each in started], default=0)
