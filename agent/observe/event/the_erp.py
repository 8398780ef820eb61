"""Which code is the ERP's: all that is not installed, and of what is installed the packages that are the ERP."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ...privacy.names import forgetful

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The interpreter's own library, which is never the ERP.
_LIBRARY = os.path.dirname(os.__file__)

#: Where packages are installed.
_INSTALLED = ("/site-packages/", "/dist-packages/")

#: Where frameworks for ERPs have modules, which belong to the ERP also if they are installed.
_MODULES = ("/trytond/modules/", "/odoo/addons/")

_begins: tuple[str, ...] = ()  # what the paths of the ERP's packages begin with, below the folder of installed ones


def follow(packages: Sequence[str]) -> None:
    """From now on these packages, dotted, are the ERP's wherever they are installed."""
    global _begins
    begins = tuple([name.replace(".", "/") + end for name in packages for end in "/."])
    if begins != _begins:
        _begins = begins
        for forget in forgetful:
            forget()


def looks_like_the_erp(path: str) -> bool:
    """Is the code in this file the ERP's?"""
    if path.startswith("<"):
        return False
    slashed = path.replace(os.sep, "/")
    for folder in _INSTALLED:
        _, found, name = slashed.rpartition(folder)
        if found:
            if name.partition("/")[0].endswith(".egg"):
                name = name.partition("/")[2]
            return name.startswith(_begins) or any(each in slashed for each in _MODULES)
    return not path.startswith(_LIBRARY + os.sep)
