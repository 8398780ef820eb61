"""One finding of `doctor`: what was looked at, how it is, and what to do about it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import quote

#: States, worst first.
FAIL, WARN, SKIPPED, OK = "fail", "warn", "skipped", "ok"
STATES = (FAIL, WARN, SKIPPED, OK)

#: Names of environment variables whose values are nobody's business.
_SECRET = re.compile(r"PASS|SECRET|TOKEN|KEY|DSN|CREDENTIAL|AUTH|COOKIE|PRIVATE|PWD$", re.IGNORECASE)
_USER_INFO = re.compile(r"//([^/@\s]+)@")
_SHORTEST = 6  # characters; shorter values are also parts of ordinary words
_ORDINARY = re.compile(r"[a-z]+|[\d.]+|/.*", re.DOTALL)  # a word, a number or a path is no secret by itself


class Finding(NamedTuple):
    """`slug` has a paragraph in docs/doctor.md. `hint` is what to do, "" where there is nothing to do."""

    slug: str
    state: str
    title: str
    detail: str = ""
    hint: str = ""


class Mask:
    """Removes from texts what may not be pasted into a ticket: secrets of environments, and the home folder's name."""

    def __init__(self, environments: Iterable[Mapping[str, str]], others: Iterable[str] = ()) -> None:
        """`others` are secrets from elsewhere, such as the key of the DSN."""
        secrets = set()
        for environ in environments:
            for name, value in environ.items():
                if _SECRET.search(name):
                    secrets.add(value)
                secrets.update(part for found in _USER_INFO.findall(value) for part in (found, *found.split(":")))
        kept = [each for each in secrets if len(each) >= _SHORTEST and not _ORDINARY.fullmatch(each)]
        kept += [each for each in others if len(each) >= _SHORTEST]
        spelt = {form for each in kept for form in (each, quote(each, safe=""))}
        self._secrets = sorted(spelt, key=len, reverse=True)
        self._home = os.path.expanduser("~").rstrip("/")

    def text(self, text: str) -> str:
        text = _USER_INFO.sub("//[masked]@", text)
        for secret in self._secrets:
            text = text.replace(secret, "[masked]")
        if len(self._home) > 1:
            text = re.sub(rf"(?<![\w.-]){re.escape(self._home)}(?=/|\W|$)", "~", text)
        return text

    def finding(self, found: Finding) -> Finding:
        return Finding(found.slug, found.state, *(self.text(each) for each in found[2:]))
