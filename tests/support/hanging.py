"""A way to a server that can be made to hang: connections are taken, and nothing more comes."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class Hanging:
    """While ``hangs`` new connections get no answer, and those that are open are cut."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 80)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._hangs = False
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def hangs(self) -> bool:
        return self._hangs

    @hangs.setter
    def hangs(self, value: bool) -> None:
        self._hangs = value
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                self._open.append(client)
                if not self._hangs:
                    other = socket.create_connection(self._target)
                    self._open.append(other)
                    for pair in ((client, other), (other, client)):
                        threading.Thread(target=_copy, args=pair, daemon=True).start()

    def __enter__(self) -> Hanging:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self.hangs = False


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
