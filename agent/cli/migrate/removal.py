"""The diff that removes carried decorators, and the imports that only they used. No file is changed."""

from __future__ import annotations

import ast
import difflib
import io
import tokenize

from ..terminal import shown_path
from .found import Found


def diff(found: Found) -> bytes:
    """A unified diff, for `patch -p0` or `git apply -p0` in the current folder. Raises OSError."""
    return b"".join(_of_file(path, spans) for path, spans in found.removable.items())


def _of_file(path: str, spans: list[tuple[int, int]]) -> bytes:
    with open(path, "rb") as stream:
        data = stream.read()
    encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0].replace("-sig", "")  # the mark stays a character
    before = list(io.StringIO(data.decode(encoding), newline=""))  # lines as Python counts them: a form feed ends none
    dropped: set[int] = set()
    for first, last in spans:
        if before[first - 1].lstrip().startswith("@"):  # as everybody writes it, and not behind a `;` or a `(`
            dropped.update(range(first, last + 1))
    after = _without_unused_imports(before, dropped)
    name = shown_path(path)
    text = "".join(
        line if line.endswith("\n") else line + "\n\\ No newline at end of file\n"
        for line in difflib.unified_diff(before, after, name, name)
    )
    return text.encode(encoding)  # as the file is: `patch` compares bytes


def _without_unused_imports(before: list[str], dropped: set[int]) -> list[str]:
    """The lines without those dropped, and without imports of names that the dropped ones alone used."""
    kept = [line for number, line in enumerate(before, 1) if number not in dropped]
    old, new = (ast.parse("".join(lines).lstrip("\ufeff")) for lines in (before, kept))
    unused = _used(old) - _used(new)
    edits: dict[int, tuple[int, str]] = {}
    for node in new.body:
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        left = [alias for alias in node.names if (alias.asname or alias.name.partition(".")[0]) not in unused]
        if len(left) < len(node.names):
            last = node.end_lineno or node.lineno
            node.names = left
            edits[node.lineno] = (last, ast.unparse(node) + "\n" if left else "")
    made: list[str] = []
    number = 1
    while number <= len(kept):
        last, text = edits.get(number, (number, kept[number - 1]))
        made.append(text)
        number = last + 1
    return [line for line in made if line]


def _used(tree: ast.Module) -> set[str]:
    """Names that are read, or that a text, such as one in `__all__` or an annotation, might mean."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names | {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
