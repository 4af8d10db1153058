"""The navigation of the site is the lists of ``docs/README.md``: each heading is a part, each link below it a page.

So the same page leads readers of a code host and readers of the site."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

_INDEX = re.compile(r"^docs/(?:\w+/)?README$")
_ITEM = re.compile(r"^- \[(.+?)\]\(([^)#:]+)\.md\)", re.MULTILINE)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", add_navigation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_navigation(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add to an index page, for each of its headings, the table of contents that Sphinx wants."""
    if _INDEX.match(docname):
        source[0] += "".join(_write_part(part) for part in re.split(r"^#+ ", source[0], flags=re.MULTILINE)[1:])


def _write_part(part: str) -> str:
    pages = "\n".join(f"{title} <{path}>" for title, path in _ITEM.findall(part))
    caption = part.partition("\n")[0]
    return f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```\n" if pages else ""
