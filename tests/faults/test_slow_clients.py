"""Clients that send too much, too slowly, or read nothing: they cost a bounded time and a bounded memory."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from gantry import closing, connections
from gantry.api import intake
from gantry.api.intake import read_pieces
from gantry.api.streaming import StreamedAnswer
from gantry.api.web import Answer
from gantry.connections import MAX_HEAD_BYTES, LimitedProtocol
from gantry.errors import DeadlineExceeded

pytestmark = pytest.mark.slow


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/headers":
        await asyncio.sleep(0.1)
        names = " ".join(name.decode() for name, _ in scope["headers"])
        await PlainTextResponse(f"headers: {names}.")(scope, receive, send)
    elif scope["path"] == "/long":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await asyncio.sleep(2)
    elif scope["path"] == "/waiting":
        while (await receive())["type"] != "http.disconnect":
            pass
        CLOSED.append("left")
    elif scope["path"] == "/stream":
        made = endless()
        await StreamedAnswer(Answer(made, "text/plain"), [next(made)], made)(scope, receive, send)
    elif scope["path"] in ("/whole", "/cut"):
        headers = {"connection": "close"} if scope["query_string"] else {}
        answer = PlainTextResponse("x" * WHOLE, headers=headers)
        if scope["path"] == "/cut":
            answer.headers["content-length"] = str(2 * WHOLE)
            send = without_end(send)
        await answer(scope, receive, send)
    else:
        await PlainTextResponse("hello")(scope, receive, send)


WHOLE = 20 << 20
"""More than any system keeps for a connection."""

CLOSED: list[str] = []
RUNNING: dict[int, uvicorn.Server] = {}


def endless() -> Iterator[bytes]:
    try:
        while True:
            yield b"x" * 100_000
    finally:
        CLOSED.append("closed")


def without_end(send: Any) -> Any:
    """An answer that breaks half way."""

    async def send_on(message: Any) -> None:
        await send(message | {"more_body": True} if message["type"] == "http.response.body" else message)

    return send_on


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Of a server of the protocol, with little patience."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    yield from serve(keep_alive=60)


@pytest.fixture
def hasty_port() -> Iterator[int]:
    """Of one that closes connections after a second without a request."""
    yield from serve(keep_alive=1)


def serve(keep_alive: int) -> Iterator[int]:
    config = uvicorn.Config(
        app, port=0, http=LimitedProtocol, lifespan="off", log_config=None, timeout_keep_alive=keep_alive
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    RUNNING[port] = server
    yield port
    server.should_exit = True
    thread.join()


def everything(connection: socket.socket) -> bytes:
    """What the server says until it closes."""
    connection.settimeout(20)
    found = b""
    try:
        while data := connection.recv(65536):
            found += data
    except ConnectionResetError:
        pass
    return found


def refusal(answer: bytes, code: int) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {code} ".encode()), answer[:200]
    assert json.loads(body)["error"]["code"] == code


@pytest.mark.parametrize("sent", [b"", b"G", b"GET / HTTP/1.1\r\nhost: x\r\n", b"\r\n\r\n"])
def test_a_head_that_does_not_end_is_given_up(port: int, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(sent)
        refusal(everything(connection), 408)


def test_more_connections_than_there_may_be(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LimitedProtocol, "limit", 2)
    ask = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    first, second = (socket.create_connection(("127.0.0.1", port)) for _ in range(2))
    with first, second:
        with socket.create_connection(("127.0.0.1", port)) as third:
            refusal(everything(third), 503)
        first.sendall(ask)
        assert everything(first).endswith(b"hello")
        with socket.create_connection(("127.0.0.1", port)) as fourth:
            fourth.sendall(ask)
            assert everything(fourth).endswith(b"hello")


def test_a_connection_without_a_request_makes_room(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that has waited longest; never one that is being served, or whose request has begun to come."""
    monkeypatch.setattr(LimitedProtocol, "limit", 3)
    ask = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
    oldest, begun, newest = (socket.create_connection(("127.0.0.1", port)) for _ in range(3))
    with oldest, begun, newest:
        for each in (begun, oldest, newest):
            answer_to(each, ask)
            time.sleep(0.01)
        begun.sendall(ask[:20])
        wait_for(lambda: any(each._head for each in RUNNING[port].server_state.connections))
        with socket.create_connection(("127.0.0.1", port)) as another:
            answer_to(another, ask)
            assert everything(oldest) == b""
            answer_to(begun, ask[20:])
            answer_to(newest, ask)


def answer_to(connection: socket.socket, rest: bytes) -> None:
    """Send the rest of a request, and read the whole answer."""
    connection.settimeout(20)
    connection.sendall(rest)
    answer = b""
    while not answer.endswith(b"hello"):
        data = connection.recv(65536)
        assert data, answer
        answer += data
    assert answer.startswith(b"HTTP/1.1 200")


def test_half_of_the_descriptors_are_left_to_operations() -> None:
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 1024));"
        "from gantry.connections import make_limited_protocol as make;"
        "print(make().limit, resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["512", "1024"]


def test_a_head_that_comes_byte_by_byte_is_given_up(port: int) -> None:
    """Each byte is a sign of life; only the whole counts."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        try:
            for _ in range(100):
                connection.sendall(b"x")
                time.sleep(0.05)
        except OSError:
            return
        pytest.fail("a head may take five seconds in pieces")


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes that the server has read, by packet. How much a client can send depends on the system's buffers."""
    sizes: list[int] = []
    receive = LimitedProtocol.data_received

    def count(protocol: LimitedProtocol, data: bytes) -> None:
        sizes.append(len(data))
        receive(protocol, data)

    monkeypatch.setattr(LimitedProtocol, "data_received", count)
    return sizes


MOST_RECEIVED = 4 << 20
"""A megabyte is dropped after a refusal; packets have up to 256 kB, and some may be on their way."""


def send_without_end(port: int, begin: bytes, line: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection, pytest.raises(OSError):
        connection.sendall(begin)
        while True:
            connection.sendall(line)


@pytest.mark.parametrize("line", [b"x" * 1000, b"name: value\r\n" * 100])
def test_a_head_without_end_is_cut_off(port: int, received: list[int], line: bytes) -> None:
    """A header without end, and headers without end."""
    send_without_end(port, b"GET / HTTP/1.1\r\nlong: ", line)
    assert sum(received) < MOST_RECEIVED, "the server read on"


def test_a_head_of_the_size_that_is_allowed(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        long = b"x" * (MAX_HEAD_BYTES - 100)
        connection.sendall(b"GET / HTTP/1.1\r\nconnection: close\r\nlong: " + long + b"\r\n\r\n")
        assert everything(connection).endswith(b"hello")


def test_one_request_after_another_and_then_silence(port: int) -> None:
    """The clock begins anew with each head, and does not run while a client thinks."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(3):
            connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(b"hello"):
                answer += connection.recv(65536)
            time.sleep(0.7)
        connection.sendall(b"\r\n")
        refusal(everything(connection), 408)


def read_until(connection: socket.socket, end: bytes) -> bytes:
    connection.settimeout(20)
    found = b""
    while not found.endswith(end):
        data = connection.recv(65536)
        assert data, found[-200:]
        found += data
    return found


def test_silence_behind_a_body_that_was_answered_early(hasty_port: int) -> None:
    """Such a connection is not kept longer than any other, and serves a request until then."""
    ask = b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n"
    with socket.create_connection(("127.0.0.1", hasty_port)) as connection:
        for _ in range(2):
            connection.sendall(ask)
            read_until(connection, b"hello")
            connection.sendall(b"abcde")
        begun = time.monotonic()
        connection.settimeout(10)
        assert connection.recv(1) == b""
        assert time.monotonic() - begun < 5


def test_a_body_that_was_answered_early_and_a_long_request(hasty_port: int) -> None:
    """The end of the one begins no clock that would break off the other."""
    with socket.create_connection(("127.0.0.1", hasty_port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n")
        read_until(connection, b"hello")
        connection.sendall(b"aGET /long HTTP/1.1\r\nhost: x\r\n\r\n")
        read_until(connection, b"begun")
        connection.settimeout(1.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)


CHUNKED = b" HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


def test_a_trailer_is_no_header(port: int) -> None:
    """A proxy that takes a header away from clients may let it through behind the body (RFC 9110 §6.5.1)."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST /headers" + CHUNKED + b"2\r\n{}\r\n0\r\nauthorization: Bearer x\r\n\r\n")
        assert read_until(connection, b".").endswith(b"headers: host transfer-encoding.")


@pytest.mark.parametrize("path", [b"/", b"/headers"])
@pytest.mark.parametrize(
    "endless", [(b"0\r\n", b"name: value\r\n" * 1000), (b"0\r\nlong: ", b"x" * 10_000), (b"1;long=", b"x" * 10_000)]
)
def test_nothing_around_a_body_is_without_end(
    port: int, received: list[int], path: bytes, endless: tuple[bytes, bytes]
) -> None:
    """Trailers, and extensions of chunks."""
    begin, line = endless
    send_without_end(port, b"POST " + path + CHUNKED + begin, line)
    assert sum(received) < MOST_RECEIVED, "the server read on"


def test_a_body_of_small_chunks_may_be_long(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST /" + CHUNKED + b"1\r\nx\r\n" * 200_000 + b"0\r\n\r\n")
        read_until(connection, b"hello")
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        read_until(connection, b"hello")


@pytest.mark.parametrize("more", [b"GET / HT", b"this is no HTTP\r\n\r\n"])
def test_no_word_of_a_refusal_is_in_the_answer_before(port: int, more: bytes) -> None:
    """A next request that is wrong, or does not end, while an answer is under way."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /long HTTP/1.1\r\nhost: x\r\n\r\n")
        read_until(connection, b"begun")
        connection.sendall(more)
        assert everything(connection) == b""


def test_a_body_that_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "BODY_SECONDS", 0.05)
    messages = iter([{"type": "http.request", "body": b"begun", "more_body": True}])

    async def receive() -> Any:
        found = next(messages, None)
        if found is None:
            await asyncio.sleep(60)
        return found

    async def read() -> list[bytes]:
        found = []
        with pytest.raises(DeadlineExceeded, match=r"0\.05 seconds"):
            async for piece in read_pieces(Request({"type": "http"}, receive)):
                found.append(piece)
        return found

    assert asyncio.run(read()) == [b"begun"]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("seconds", [0, 0.02])
@pytest.mark.parametrize(
    ("ask", "end"),
    [
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"hello"),
        (b"GET /headers HTTP/1.1\r\nhost: x\r\n\r\n", b"host."),
        (b"POST /headers HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nabcde", b"content-length."),
        (b"GET / HTTP/1.0\r\n\r\n", b"hello"),
    ],
)
def test_a_client_may_end_its_side_and_wait(
    port: int, monkeypatch: pytest.MonkeyPatch, ask: bytes, end: bytes, seconds: float, count: int
) -> None:
    """As ``nc -N`` does. It has said all that it has to say: each request is answered, and that is the end."""
    monkeypatch.setattr(connections, "DEPARTED_SECONDS", 60.0)
    count = 1 if ask.startswith(b"GET / HTTP/1.0") else count
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(ask * count)
        time.sleep(seconds)
        connection.shutdown(socket.SHUT_WR)
        found = everything(connection)
    assert found.count(b"HTTP/1.1 200 OK") == count
    assert found.endswith(end)


def test_a_long_answer_to_a_client_that_has_ended_its_side_is_whole(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"GET /whole HTTP/1.1\r\nhost: x\r\n\r\n")
        size = len(read_until(connection, b"x" * 100))
        connection.shutdown(socket.SHUT_WR)
        while data := connection.recv(1 << 20):
            size += len(data)
    assert size > WHOLE


def test_half_a_request_has_no_answer(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"POST /headers HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nabc")
        connection.shutdown(socket.SHUT_WR)
        assert everything(connection) == b""


@pytest.mark.parametrize("is_half", [True, False])
def test_nothing_is_made_for_a_client_that_has_left(port: int, monkeypatch: pytest.MonkeyPatch, is_half: bool) -> None:
    """A moment later: at first nobody knows whether it waits."""
    monkeypatch.setattr(connections, "DEPARTED_SECONDS", 0.05)
    CLOSED.clear()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"GET /waiting HTTP/1.1\r\nhost: x\r\n\r\n")
        connection.shutdown(socket.SHUT_WR) if is_half else connection.close()
        wait_for(lambda: CLOSED == ["left"])


@pytest.fixture
def impatient_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Of a server whose clients must read."""
    monkeypatch.setattr(closing, "SEND_SECONDS", 0.3)
    yield from serve(keep_alive=1)


def connect_and_ask(port: int, path: str) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    return connection


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("path", ["/stream", "/whole", "/cut", "/whole?close"])
@pytest.mark.parametrize("is_half_closed", [False, True])
def test_a_client_that_reads_nothing(
    impatient_port: int, path: str, is_half_closed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Its connection is reset, and what the answer was made of is let go: also where all of the answer is made, where
    the server has closed the connection already, and where the client has closed its side."""
    CLOSED.clear()
    connections = RUNNING[impatient_port].server_state.connections
    with connect_and_ask(impatient_port, path) as connection:
        wait_for(lambda: len(connections) == 1)
        if is_half_closed:
            time.sleep(0.1)
            connection.shutdown(socket.SHUT_WR)
        wait_for(lambda: not connections)
        if not is_half_closed:
            wait_for(lambda: "read nothing" in caplog.text)
        wait_for(lambda: path != "/stream" or CLOSED == ["closed"])
        found = everything(connection)
        assert len(found) < WHOLE and b"\r\n0\r\n\r\n" not in found, "it must not look complete"


def test_a_client_that_reads_slowly_gets_everything(impatient_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads what it must in each span, so that it takes several spans."""
    monkeypatch.setattr(closing, "SEND_SECONDS", 1.0)
    with connect_and_ask(impatient_port, "/whole") as connection:
        found, begun = 0, time.monotonic()
        while time.monotonic() < begun + 4:
            found += len(connection.recv(200_000))
            time.sleep(0.05)
        while found < WHOLE and (data := connection.recv(1 << 20)):
            found += len(data)
        assert found >= WHOLE
