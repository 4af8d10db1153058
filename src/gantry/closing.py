"""How a connection ends: what was sent arrives, and no client can keep the connection or its memory.

A system answers bytes that nobody read with a reset, which destroys what the client has not read yet. So where a client
may still be sending, the server closes its own side, reads on for a while, and closes then (RFC 9112 §9.6).
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import sys
import termios
from array import array
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)

SEND_SECONDS, LEAST_BYTES = 120.0, 16 << 10
"""A client must read so many bytes of what is sent to it, or all of it, in each span of so many seconds."""

LINGER_SECONDS, SILENCE_SECONDS = 30.0, 5.0
"""How long what a client sends is read and dropped after the last answer: in all, and while nothing comes. The values
are those of nginx."""


class Wire:
    """The transport of one connection. ``close`` ends it as its client needs it.

    ``is_sent_more``: whether the client may be sending still. ``begin_linger`` is called when only dropping is left.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        is_sent_more: Callable[[], bool],
        begin_linger: Callable[[], None],
    ) -> None:
        self._transport, self._loop = transport, loop
        self._is_sent_more, self._begin_linger = is_sent_more, begin_linger
        self._silence: asyncio.TimerHandle | None = None
        self._end: asyncio.TimerHandle | None = None
        self._sending: asyncio.TimerHandle | None = None
        self._unsent = self._most = 0

    def write(self, data: bytes) -> None:
        """Nothing where the connection is closed already: whoever makes the answer hears of it a moment later."""
        if not self.is_closing():
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    @property
    def is_lingering(self) -> bool:
        return self._end is not None

    def is_closing(self) -> bool:
        return self.is_lingering or self._transport.is_closing()

    def close(self, linger: float = LINGER_SECONDS, most: int = sys.maxsize) -> None:
        """Send the rest and close. A second call does not wait for the client any more.

        For ``linger`` seconds what comes is read and dropped, up to ``most`` bytes; the client cannot send more.
        """
        if self.is_closing() or not self._is_sent_more():
            self.close_now()
            return
        self._end = self._loop.call_later(linger, self.close_now)
        self._begin_linger()
        self._most = most
        self.drop(0)
        if self._transport.can_write_eof():  # not with TLS, whose clients see the end by the length of the answer
            self._transport.write_eof()

    def drop(self, size: int) -> None:
        """Bytes came that nobody reads any more."""
        self._most -= size
        if self._most < 0:
            self._transport.pause_reading()
        if self._silence is not None:
            self._silence.cancel()
        self._silence = self._loop.call_later(SILENCE_SECONDS, self.close_now)

    def close_now(self) -> None:
        self._transport.close()
        self.watch()

    def watch(self) -> None:
        """From now on the client must read, until ``unwatch``."""
        if self._sending is None:
            self._unsent = self._measure()
            self._sending = self._loop.call_later(SEND_SECONDS, self._check)

    def unwatch(self) -> None:
        if self._sending is not None and not self._transport.is_closing():
            self._sending.cancel()
            self._sending = None

    def forget(self) -> None:
        """The connection is lost: no timer holds it any longer."""
        for timer in (self._silence, self._end, self._sending):
            if timer is not None:
                timer.cancel()

    def _measure(self) -> int:
        """Bytes that the client has not received: ours, and those that the system holds. It takes more of ours only
        after a third of its own, which may be a megabyte (tcp(7), SIOCOUTQ)."""
        held = array("i", [0])
        try:
            fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, held)
        except OSError:
            pass  # not a TCP connection, or it is closed
        return self._transport.get_write_buffer_size() + held[0]

    def _check(self) -> None:
        self._sending = None
        left = self._measure()
        if left and self._unsent - left < LEAST_BYTES:
            logger.warning("a client has read nothing for %g seconds: its connection is closed", SEND_SECONDS)
            self._transport.abort()
        elif left:
            self.watch()
