"""Numbers of things as text: the one place where a page chooses between one and many."""

from __future__ import annotations

_NOUNS = {
    "study": ("{} study", "{} studies"),
    "series": ("{} series", "{} series"),
    "instance": ("{} instance", "{} instances"),
    "object": ("{} object", "{} objects"),
    "operation": ("{} operation", "{} operations"),
    "patient": ("{} patient", "{} patients"),
    "line": ("{} line", "{} lines"),
    "file": ("{} file", "{} files"),
}


def counted(count: int, noun: str) -> str:
    """``1 study``, ``1,204 studies``."""
    one, many = _NOUNS[noun]
    return (one if count == 1 else many).format(f"{count:,}")
