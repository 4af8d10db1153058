"""The file that names the port of a server, for programs that start one on any free port."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gantry.errors import InvalidArgument
from gantry.system_errors import describe_os_error

logger = logging.getLogger(__name__)


@contextmanager
def port_file(name: str) -> Iterator[Callable[[int], None]]:
    """What writes the port, once the server is ready; the file is there only from then to the end of the block.
    "": there is none. Raises InvalidArgument where it could not be written."""
    if not name:
        yield lambda port: None
        return
    path, fresh = Path(name), Path(f"{name}.new")
    try:
        path.unlink(missing_ok=True)  # of a server that was killed
        fresh.touch()
        fresh.unlink()
    except OSError as error:
        raise InvalidArgument(f"port_file {name}: cannot be written: {describe_os_error(error)}") from None
    try:
        yield lambda port: _write(path, fresh, port)
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _write(path: Path, fresh: Path, port: int) -> None:
    """As a whole, so that nobody reads half a number."""
    try:
        fresh.write_text(f"{port}\n", encoding="ascii")
        fresh.replace(path)
    except OSError as error:
        logger.warning("port_file %s: cannot be written: %s", path, describe_os_error(error))
