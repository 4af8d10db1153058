"""A file that holds up deletions while somebody copies the data directory: docs/howto/backup.md."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from gantry.system_errors import describe_os_error

logger = logging.getLogger(__name__)

MOST_SECONDS = 86_400
"""A file that was forgotten must not fill the disk: after a day it counts no more. Touching it again begins anew."""


class Hold:
    """``path``: while this file exists, and is not too old, what lost its row keeps its bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._said: str | None = None

    def is_held(self) -> bool:
        try:
            age = time.time() - os.stat(self._path).st_mtime
        except FileNotFoundError:
            self._say(None)
            return False
        except OSError as error:  # it may be there, and what is deleted does not come back
            self._say(f"cannot be looked at ({describe_os_error(error)}): bytes of what is deleted stay")
            return True
        held = abs(age) < MOST_SECONDS  # it is younger than now where a clock was wrong
        self._say("is there: bytes of what is deleted stay" if held else "is not of today, and counts no more")
        return held

    def _say(self, what: str | None) -> None:
        if what != self._said and what is not None:
            logger.warning("%s %s", self._path, what)
        self._said = what
