"""Items of encapsulated pixel data (PS3.5 §A.4)."""

from __future__ import annotations


def item(value: bytes) -> bytes:
    """Padded to even length."""
    even = value + b"\0" * (len(value) % 2)
    return b"\xfe\xff\x00\xe0" + len(even).to_bytes(4, "little") + even
