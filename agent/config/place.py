"""Where the configuration and the agent's own files are. Imports nothing but os."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def config_path(environ: "Mapping[str, str]") -> str:
    """AGENT_CONFIG, or monitors.yaml beside sitecustomize.py; never the current directory."""
    named = environ.get("AGENT_CONFIG")
    if named:
        return os.path.abspath(os.path.expanduser(named))
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return os.path.join(os.path.dirname(package), "monitors.yaml")


def state_folder(environ: "Mapping[str, str]", config: str) -> str:
    """The folder for everything that the agent writes for this configuration.

    AGENT_STATE_DIR or the user's state folder; in it, one folder for each configuration file, so that two ERPs of one
    user never mix their events.
    """
    base = environ.get("AGENT_STATE_DIR")
    if not base:
        home = environ.get("XDG_STATE_HOME") or (
            os.path.join(environ["HOME"], ".local", "state") if environ.get("HOME") else ""
        )
        base = os.path.join(home, "erp-sentry-agent") if os.path.isabs(home) else _without_home()
    name = os.path.basename(os.path.dirname(config)) or "root"
    return os.path.join(os.path.abspath(os.path.expanduser(base)), f"{name}-{_hash(config):08x}")


def _without_home() -> str:
    return "/var/tmp/erp-sentry-agent-%d" % (os.getuid() if hasattr(os, "getuid") else 0)  # noqa: S108  (made 0700, owner checked)


def _hash(text: str) -> int:
    """FNV-1a, 32 bits: a name that stays the same from process to process, with nothing imported."""
    value = 0x811C9DC5
    for byte in text.encode("utf-8", "surrogateescape"):
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value
