"""What processes of our own get of the environment: nothing that could be a secret."""

from __future__ import annotations

import os
import sys

_KEPT = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")


def make_environment() -> dict[str, str]:
    kept = {name: value for name in _KEPT if (value := os.environ.get(name))}
    path = os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))
    return kept | {"PYTHONPATH": path, "LANG": "C.UTF-8", "TZ": "UTC"}
