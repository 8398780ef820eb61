"""A hook of MkDocs: files outside of `docs/` are pages too, and links in them and to them lead to pages."""

from __future__ import annotations

import os
import re
from typing import Any

from mkdocs.structure.files import File

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
#: File in the checkout → page.
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "tests/README.md": "tests.md",
    "docs/decisions/README.md": "decisions/index.md",
}
_LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]+)?\)")


def on_files(files: Any, config: Any) -> Any:
    for source, page in OUTSIDE.items():
        with open(os.path.join(ROOT, source), encoding="utf-8") as stream:
            files.append(File.generated(config, page, content=stream.read()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    source = {target: name for name, target in OUTSIDE.items()}.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def to_page(link: re.Match[str]) -> str:
        text, path, anchor = link[1], link[2], link[3] or ""
        wanted = os.path.normpath(os.path.join(os.path.dirname(source), path))
        target = OUTSIDE.get(wanted) or (wanted[len("docs/") :] if wanted.startswith("docs/") else None)
        if target is not None and files.get_file_from_path(target) is not None:
            return f"[{text}]({os.path.relpath(target, os.path.dirname(page.file.src_uri) or '.')}{anchor})"
        # A file of the checkout is no page. What does not exist stays, and MkDocs reports it.
        return text if os.path.exists(os.path.join(ROOT, wanted)) else link[0]

    return _LINK.sub(to_page, markdown)
