"""The file of the index: the one of the start, and no other that is made or put in its place while the server runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from gantry.errors import Interrupted
from gantry.system_errors import describe_os_error


class IndexFile:
    """The file at ``path``; None for an index in memory."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._identity: tuple[int, int] | None = None

    def keep(self) -> None:
        """What is there now is the index: from here on a connection that finds no file makes none. Raises OSError."""
        if self.path is not None:
            self._identity = _identify(self.path)

    def find_trouble(self) -> str:
        """What is wrong with the file, as a sentence without a full stop; "" where it is the one of the start."""
        if self.path is None or self._identity is None:
            return ""
        try:
            found = _identify(self.path)
        except FileNotFoundError:
            return "the file of the index is not there any more; stop the server and put it back"
        except OSError as error:
            return f"the file of the index cannot be read: {describe_os_error(error)}"
        if found != self._identity:
            return "another file is in the place of the index; stop the server and put the right one there"
        return ""

    def guard(self, engine: Engine) -> None:
        """Let connections of an engine open this file only. They raise Interrupted where another one is there."""

        @event.listens_for(engine, "do_connect")
        def _open_existing(_dialect: Any, _record: Any, positional: list[Any], named: dict[str, Any]) -> None:
            if self.path is not None and self._identity is not None:
                positional[0], named["uri"] = f"{self.path.absolute().as_uri()}?mode=rw", True

        @event.listens_for(engine, "connect")
        def _require_same(_connection: Any, _record: Any) -> None:
            if trouble := self.find_trouble():
                raise Interrupted(trouble)


def _identify(path: Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino
