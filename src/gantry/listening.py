"""The sockets and the certificate of a server, checked before anything is opened or written."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from gantry.errors import FailedPrecondition, InvalidArgument
from gantry.system_errors import describe_os_error

HANDLES = 32
"""Of each listening socket. libuv, since 1.45, takes one new connection a turn of the event loop from each of them
(https://github.com/libuv/libuv/pull/3696): by one alone, clients that come and go would keep others from coming in."""


@contextmanager
def bind(host: str, port: int) -> Iterator[list[socket.socket]]:
    """A socket for each address of ``host``, bound, not yet listening: clients are refused until the server is ready.

    Raises FailedPrecondition for an address that is in use, or that this machine does not have.
    """
    with ExitStack() as opened:
        try:
            found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            addresses = dict.fromkeys((family, address) for family, _, _, _, address in found)
            sockets = [opened.enter_context(_bind(family, address)) for family, address in addresses]
        except OSError as error:
            reason = describe_os_error(error)
            raise FailedPrecondition(
                f"host {host}, port {port}: {reason}",
                advice="stop the program that listens there, or choose another --host or --port",
            ) from None
        yield [each for made in sockets for each in (made, *_duplicate(opened, made))]


def _duplicate(opened: ExitStack, made: socket.socket) -> list[socket.socket]:
    """More handles of the same socket, with the same queue of connections."""
    return [opened.enter_context(made.dup()) for _ in range(HANDLES - 1)]


def _bind(family: socket.AddressFamily, address: tuple[object, ...]) -> socket.socket:
    """Bind with the options that asyncio sets."""
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, True)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound


def require_certificate(certificate: str, key: str) -> None:
    """Raises InvalidArgument where these files (PEM) cannot be used for TLS. Empty names mean no TLS."""
    if not certificate:
        return
    for setting, path in (("tls_cert", certificate), ("tls_key", key)):
        try:
            with open(path, "rb") as file:
                file.read(1)
        except OSError as error:
            raise InvalidArgument(f"{setting} {path}: {describe_os_error(error)}") from None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError):
        raise InvalidArgument(
            f"tls_cert {certificate}, tls_key {key}: are not a certificate and its key, both in PEM form"
        ) from None
