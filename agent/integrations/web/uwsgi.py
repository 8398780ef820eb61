"""The application that uWSGI loads: it calls it from C, so that only its options show which one it is."""

import sys

from ...base import places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def application() -> str:
    """Its dotted path; "" where that is not known, as with `wsgi-file`, which is imported under no name."""
    options: "dict[str, Any]" = getattr(sys.modules.get("uwsgi"), "opt", {})
    for name in ("module", "wsgi"):
        given = _text(options.get(name))
        module, _, attribute = given.partition(":")
        if module:
            return f"{module}.{attribute or _text(options.get('callable')) or 'application'}"
    return ""


def _text(option: object) -> str:
    """Options are bytes; one that is given several times is a list of them."""
    if type(option) is list:
        option = option[0]
    return option.decode("utf-8", "replace") if type(option) is bytes else ""


def follow() -> None:
    """Have the import of the application's module noticed."""
    module = application().rpartition(".")[0]
    if module:
        places.HOOKS.setdefault(module, "integrations.web.named")
        places.FRAMEWORKS.add(module.partition(".")[0])
