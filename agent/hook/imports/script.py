"""Files that a server written in C runs as modules: `wsgi-file` of uWSGI, `WSGIScriptAlias` of mod_wsgi.

They pass no finder and no loader. But the interpreter calls one function of importlib's on the way, with the namespace
in which it is about to run the file.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: What these servers call the modules that they make of files.
_NAMES = ("uwsgi_file_", "_mod_wsgi_")

#: What the interpreter calls before it runs one, and for nothing else that Python code can start.
_FUNCTION = "_fix_up_module"


class Scripts:
    def __init__(self, begins: "Callable[[dict[str, Any]], None]") -> None:
        """`begins(namespace)` is called when such a file is about to run. It raises nothing."""
        self._importlib = vars(sys.modules["_frozen_importlib_external"])
        self._original = original = self._importlib[_FUNCTION]

        def fix_up_module(namespace: "dict[str, Any]", name: str, *paths: "Any") -> None:
            original(namespace, name, *paths)
            if name.startswith(_NAMES):
                begins(namespace)

        self._own = self._importlib[_FUNCTION] = fix_up_module

    def undo(self) -> bool:
        if self._importlib[_FUNCTION] is self._own:
            self._importlib[_FUNCTION] = self._original
        return True
