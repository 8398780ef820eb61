"""Files that a command writes for a person: never over one that is there."""

from __future__ import annotations

from ..base.errors import ConfigError


def write_new(path: str, text: str) -> None:
    """Raises ConfigError where the file exists or cannot be written."""
    try:
        with open(path, "x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise ConfigError(f"{path} exists, and is left as it is: name another file with --output") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
