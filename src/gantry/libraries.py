"""Which libraries of the extras are installed."""

from __future__ import annotations

from importlib.util import find_spec


def is_installed(library: str) -> bool:
    """Of a library inside a package (``google.auth``) the package is looked for first."""
    parents = library.rpartition(".")[0]
    return (not parents or is_installed(parents)) and find_spec(library) is not None
