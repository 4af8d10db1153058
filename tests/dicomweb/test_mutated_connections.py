"""Mutated requests on connections that are kept, piped, cut and reset: each gets its own answer and nothing else
(RFC 9112 §9), no answer is 500, and nothing of them stays in the server."""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.dicomweb.connections import Broken, Connection, Reply
from tests.dicomweb.mutations import Mutations, line, prepare
from tests.support.apart import serve_apart  # noqa: F401
from tests.support.checked import check_clean
from tests.support.gantry import Gantry
from tests.support.processes import children

VERBS = ("HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "FOO", "get")
KEPT_APART = ("/rendered", "/thumbnail", "/frames/1", "/bulkdata/7FE00010")  # no method deletes what lies here

MANY = int(os.environ.get("GANTRY_MUTATED", "20000"))
"""Requests of the long run; a release is tried with 200,000."""
SEED = int(os.environ.get("GANTRY_SEED", "100"))


class Peer:
    """A client that sends near-requests in every way that a connection allows."""

    def __init__(self, gantry: Gantry, mutations: Mutations) -> None:
        self.port, self.mutations, self.chance = gantry.server.port, mutations, mutations.chance
        self.found: Counter[str] = Counter()
        self.open: Connection | None = None
        self.spoilt = False  # the last request ends the connection, perhaps behind its answer

    def request(self) -> tuple[str, bytes, bytes]:
        """Method, head, body."""
        verb, address, headers, body = line(self.mutations)
        if address.partition("?")[0].endswith(KEPT_APART) and self.chance.random() < 0.3:
            verb = self.chance.choice(VERBS)
            body = self.chance.choice((b"", b"x" * 10, b"x" * 100_000))
        if body and self.chance.random() < 0.3:
            headers["Transfer-Encoding"], whole = "chunked", chunked(self.chance, body)
            body = whole if self.chance.random() < 0.97 else spoil(self.chance, whole)
            self.spoilt |= body is not whole
        elif body or verb in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = str(len(body))
        if body and self.chance.random() < 0.1:
            headers["Expect"] = "100-continue"
        lines = [
            f"{verb} {address} HTTP/1.1",
            "Host: localhost",
            *(f"{name}: {text}" for name, text in headers.items()),
        ]
        return verb, "\r\n".join([*lines, "", ""]).encode("latin-1"), body

    def step(self) -> int:
        """One way of using a connection; the number of requests."""
        way = self.chance.choices((self.ask, self.pipe, self.cut, self.leave, self.lie), (20, 2, 2, 2, 1))[0]
        done = way()
        if self.spoilt:
            self.drop()
            self.spoilt = False
        return done

    def connect(self) -> Connection:
        """The connection of the step before if it can still be used: nothing may have come on it meanwhile."""
        if self.open is None:
            self.open = Connection(self.port)
        else:
            assert self.open.is_silent(), "bytes that nobody asked for, or an end that was not announced"
        return self.open

    def receive(self, verb: str, sent: bytes) -> Reply:
        """The answer to a whole request. Raises Broken."""
        assert self.open is not None
        reply = self.open.receive(verb)
        self.found[str(reply.status)] += 1
        assert reply.status < 500 or reply.status in (501, 505), (sent[:2000], reply)
        if reply.closes:
            self.drop()
        return reply

    def receive_what_comes(self, verb: str, sent: bytes) -> None:
        """End sending in the middle of a request: there may be an answer, or only the end of the connection."""
        assert self.open is not None
        self.open.end_sending()
        with suppress(Broken):
            self.receive(verb, sent)

    def drop(self, how: Callable[[Connection], None] = Connection.close) -> None:
        if self.open is not None:
            how(self.open)
            self.open = None

    # Ways -------------------------------------------------------------------------------------------------------------

    def ask(self) -> int:
        """One request, its body at once or in pieces, and its answer."""
        verb, head, body = self.request()
        connection = self.connect()
        step = len(body) if self.chance.random() < 0.8 else max(1, len(body) // self.chance.randint(1, 20))
        connection.send(head)
        for start in range(0, len(body), step or 1):
            connection.send(body[start : start + step])
        try:
            self.receive(verb, head)
        except Broken:
            if self.spoilt:
                return 1
            raise AssertionError(f"no answer: {head[:2000]!r} {len(body)} {body[:500]!r} … {body[-300:]!r}") from None
        return 1

    def pipe(self) -> int:
        """Several requests at once; the answers come in their order, up to the one that ends the connection.

        A request that cannot be read ends it behind the answer that is being sent (RFC 9112 §9.3.2).
        """
        requests = [self.request() for _ in range(self.chance.randint(2, 4))]
        self.connect().send(b"".join(head + body for _, head, body in requests))
        for number, (verb, head, _) in enumerate(requests):
            try:
                if self.open is not None:
                    self.receive(verb, head)
            except Broken:
                assert number, "not even the first request was answered"
                self.drop()
        return len(requests)

    def cut(self) -> int:
        """A request that ends early: the connection is ended, closed or reset."""
        verb, head, body = self.request()
        connection = self.connect()
        whole = head + body
        connection.send(whole[: self.chance.randrange(len(whole))])
        if self.chance.random() < 0.4:
            self.receive_what_comes(verb, head)
        self.drop(self.chance.choice((Connection.close, Connection.reset)))
        return 1

    def leave(self) -> int:
        """A whole request whose answer nobody waits for."""
        _, head, body = self.request()
        self.connect().send(head + body)
        self.drop(self.chance.choice((Connection.close, Connection.reset)))
        return 1

    def lie(self) -> int:
        """A body that is not as long as its head says."""
        verb, address, _, body = line(self.mutations)
        length = self.chance.choice(("-1", "1e3", "99", "0x10", "", "5, 5", "5, 6", str(len(body) + 7), "9" * 30))
        head = f"{verb} {address} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode("latin-1")
        connection = self.connect()
        connection.send(head + body)
        self.receive_what_comes(verb, head)
        self.drop()
        return 1


def chunked(chance: random.Random, body: bytes) -> bytes:
    """RFC 9112 §7.1."""
    out, at = b"", 0
    while at < len(body):
        piece = body[at : at + chance.choice((1, 7, 1000, 70_000))]
        at += len(piece)
        out += f"{len(piece):x}".encode() + b"\r\n" + piece + b"\r\n"
    return out + b"0\r\n\r\n"


def spoil(chance: random.Random, body: bytes) -> bytes:
    """Chunks of which one has a size that is none."""
    at = body.index(b"\r\n") if chance.random() < 0.5 else body.rindex(b"0\r\n\r\n")
    return body[:at] + chance.choice((b"-1", b"g", b"0x5", b" ")) + body[at:]


def count_held(pid: int) -> tuple[int, int]:
    """Threads and descriptors of a server and its workers."""
    threads = descriptors = 0
    for each in (pid, *children(pid)):
        with suppress(FileNotFoundError):
            threads += len(os.listdir(f"/proc/{each}/task"))
            descriptors += len(os.listdir(f"/proc/{each}/fd"))
    return threads, descriptors


def run(gantry: Gantry, count: int, seed: int) -> Counter[str]:
    """So many requests; answers by status. What the server holds afterwards is what it held after the first tenth."""
    peer = Peer(gantry, prepare(gantry, seed))
    done, pid = 0, gantry.server.process.pid
    while done < count // 10:
        done += peer.step()
    settle(peer)
    threads, descriptors = count_held(pid)
    while done < count:
        done += peer.step()
    settle(peer)
    print(dict(peer.found), (threads, descriptors), count_held(pid), file=sys.stderr)
    # Pools start their threads when they need them, and readers of the index keep a file open each.
    await_(lambda: all(now <= then + 8 for now, then in zip(count_held(pid), (threads, descriptors), strict=True)))
    return peer.found


def await_(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "the server keeps threads or descriptors of requests that have ended"
        time.sleep(0.5)


def settle(peer: Peer) -> None:
    """Close, and wait until the server has seen it: a request that comes later is answered."""
    peer.drop()
    peer.connect().send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    peer.receive("GET", b"healthz")
    time.sleep(1)


def check_left(gantry: Gantry, directory: Path) -> None:
    """No temporary file, and no bytes without a row."""
    assert list(directory.iterdir()) == []
    gantry.server.stop()
    check_clean(gantry.server.data)
    assert "Traceback" not in gantry.server.log_text()
    gantry.server.start()


@pytest.fixture
def temporary(gantry: Gantry, tmp_path: Path) -> Path:
    """The server's directory for temporary files, which nobody else uses."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    gantry.server.env = gantry.server.env | {"TMPDIR": str(directory)}
    gantry.server.restart()
    return directory


@pytest.mark.slow
def test_some_mutated_requests_on_connections(gantry: Gantry, temporary: Path) -> None:
    found = run(gantry, 1000, 5)
    refused = sum(count for status, count in found.items() if status.startswith("4"))
    assert found["200"] > 75 and refused > 150, found
    check_left(gantry, temporary)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(7200)
def test_many_mutated_requests_on_connections(gantry: Gantry, temporary: Path) -> None:
    found = run(gantry, MANY, SEED)
    assert min(found[status] for status in ("200", "204", "400", "404", "405", "406", "409")) > 20, found
    check_left(gantry, temporary)
