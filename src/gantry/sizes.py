"""Numbers of bytes as people read them: the same in the console and on the command line."""

from __future__ import annotations


def format_size(count: float) -> str:
    """``17 bytes``, ``1.5 KiB``, ``3.0 GiB``."""
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} PiB"
