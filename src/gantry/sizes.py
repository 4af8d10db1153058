"""Numbers as people read them, of bytes and of things: the same in the console and on the command line."""

from __future__ import annotations


def format_size(count: float) -> str:
    """``17 bytes``, ``1.5 KiB``, ``3.0 GiB``."""
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} PiB"


def format_count(count: int, thing: str) -> str:
    """``1 finding``, ``1,200 studies``. ``thing`` is one of them."""
    plural = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{count:,} {thing if count == 1 else plural}"
