"""The bytes of an answer, also of one that is cut off."""

from __future__ import annotations

from collections.abc import Iterable

from gantry.storage.remote.errors import is_of_client


def collect(pieces: Iterable[bytes], most: int) -> bytes:
    """What has come when the connection is cut: the next request goes on from there. Raises the client's exception
    where nothing has. Nothing is asked for once there are more than ``most`` bytes: nobody has asked for so many."""
    found, size = [], 0
    try:
        for piece in pieces:
            found.append(piece)
            size += len(piece)
            if size > most:
                break
    except Exception as error:
        if not found or not is_of_client(error):
            raise
    return b"".join(found)
