"""Bodies of requests: one reader for all of them, whichever method takes them."""

from __future__ import annotations

import gzip
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from gantry.api import gunzip
from gantry.api.body import MAX_FORM_BYTES, MAX_VALUES, Body
from gantry.api.gunzip import FREE_MEMBERS, PIECE, Gunzip
from gantry.errors import BrokenBody, InvalidArgument
from gantry.json_text import parse_items
from tests.support.answers import refused
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.web import ONE_AS_STORED, Web, multipart, uid_path

EMPTY = gzip.compress(b"", mtime=0)
UIDS = "1.2.3", "1.2.3.4", "1.2.3.4.5"
JSON_TYPE = {"content-type": "application/json"}


def pieces_of(data: bytes, size: int = 1 << 20) -> Callable[[], bytes]:
    left = iter([data[at : at + size] for at in range(0, len(data), size)])
    return lambda: next(left, b"")


def plain(data: bytes, size: int = 1 << 20) -> bytes:
    body = Gunzip(pieces_of(data, size))
    found = b""
    while piece := body.read():
        assert len(piece) <= PIECE
        found += piece
    return found


def split(data: bytes, *sizes: int) -> bytes:
    """As several gzip members."""
    ends = [*sizes, len(data)]
    begins = [0, *sizes]
    return b"".join(gzip.compress(data[at:end], mtime=0) for at, end in zip(begins, ends, strict=True))


class TestGunzip:
    @pytest.mark.parametrize("size", [1, 7, 1 << 20])
    def test_all_members_count(self, size: int) -> None:
        assert plain(split(b"abcdefgh" * 100, 5, 300, 300) + EMPTY, size) == b"abcdefgh" * 100

    def test_much_out_of_little_comes_in_pieces(self) -> None:
        data = bytes(5 * PIECE + 3)
        assert plain(gzip.compress(data)) == data

    def test_exactly_a_piece(self) -> None:
        data = bytes(PIECE)
        assert plain(gzip.compress(data) + gzip.compress(b"x")) == data + b"x"

    @pytest.mark.parametrize("rest", [b"x", b"\0", b"\r\n", b"\x1f\x8b", EMPTY[:-1], zlib.compress(b"x")])
    def test_what_follows_must_be_a_whole_member(self, rest: bytes) -> None:
        with pytest.raises(BrokenBody):
            plain(gzip.compress(b"text") + rest)

    @pytest.mark.parametrize("cut", range(1, 24))
    def test_a_member_that_is_cut_off(self, cut: int) -> None:
        with pytest.raises(BrokenBody):
            plain(gzip.compress(b"text", mtime=0)[:-cut])

    def test_a_wrong_checksum(self) -> None:
        data = bytearray(gzip.compress(b"text" * 100))
        data[-6] ^= 1
        with pytest.raises(BrokenBody):
            plain(bytes(data))

    def test_a_fault_stays(self) -> None:
        body = Gunzip(pieces_of(b"no gzip"))
        for _ in range(2):
            with pytest.raises(BrokenBody):
                body.read()

    def test_empty_members_are_counted_and_full_ones_are_not(self) -> None:
        assert plain(EMPTY * FREE_MEMBERS) == b""
        with pytest.raises(BrokenBody, match="members"):
            plain(EMPTY * (FREE_MEMBERS + 1))
        block = bytes(range(256)) * 16
        assert plain(gzip.compress(block) * (FREE_MEMBERS + 50)) == block * (FREE_MEMBERS + 50)

    def test_what_is_read_does_not_grow_with_what_follows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each end of a member copies what was handed over behind it."""
        handed: list[int] = []
        original = gunzip._decompress

        def count(member: object, data: bytes, number: int) -> bytes:
            handed.append(len(data))
            return original(member, data, number)  # type: ignore[arg-type]

        monkeypatch.setattr(gunzip, "_decompress", count)
        with pytest.raises(BrokenBody):
            plain(EMPTY * 500_000)
        assert len(handed) <= 2 * FREE_MEMBERS and sum(handed) < 64 << 20


@contextmanager
def watching(gantry: Gantry) -> Iterator[list[float]]:
    """How long each ``/healthz`` takes meanwhile."""
    times: list[float] = []
    ended = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=gantry.server.url, timeout=60) as client:
            while not ended.is_set():
                begun = time.monotonic()
                client.get("/healthz").raise_for_status()
                times.append(time.monotonic() - begun)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield times
    finally:
        ended.set()
        thread.join()


class TestEverywhere:
    """Every method that takes a body takes it as gzip, or says why not."""

    def send(self, gantry: Gantry, kind: str, body: bytes, **headers: str) -> httpx.Response:
        store = gantry.store
        if kind == "json":
            return gantry.request("PATCH", f"v1/{store}?updateMask=labels", content=body, headers=JSON_TYPE | headers)
        if kind == "override":
            headers["x-http-method-override"] = "PATCH"
            return gantry.request("POST", f"v1/{store}?updateMask=labels", content=body, headers=JSON_TYPE | headers)
        if kind == "form":
            own = {"x-http-method-override": "GET", "content-type": "application/x-www-form-urlencoded"}
            return gantry.request("POST", f"v1/{gantry.dataset}/dicomStores", content=body, headers=own | headers)
        if kind == "page":
            own = {"content-type": "application/x-www-form-urlencoded"}
            path = f"console/{gantry.dataset}/create"
            return gantry.request("POST", path, content=body, headers=own | headers, follow_redirects=False)
        if kind == "patch":
            path = f"v1beta1/{store}/dicomWeb/{uid_path(*UIDS)}/metadata"
            own = {"content-type": "application/json-patch+json"}
            return gantry.request("PATCH", path, content=body, headers=own | headers)
        verb, version = {"put": ("PUT", "v1beta1"), "stow": ("POST", "v1"), "parts": ("POST", "v1")}[kind]
        own = {"content-type": "application/dicom"}
        if kind == "parts":
            own["content-type"] = 'multipart/related; type="application/dicom"; boundary=edge'
        return gantry.request(verb, f"{version}/{store}/dicomWeb/studies", content=body, headers=own | headers)

    def body(self, kind: str) -> bytes:
        instance = make_instance(*UIDS)
        if kind == "parts":
            return b"--edge\r\nContent-Type: application/dicom\r\n\r\n" + instance + b"\r\n--edge--\r\n"
        bodies = {
            "form": b"pageSize=1",
            "page": b"store=from-a-form",
            "patch": b'[{"op": "add", "path": "/00100020", "value": {"vr": "LO", "Value": ["P"]}}]',
        }
        return bodies.get(kind, b'{"labels": {"a": "b"}}' if kind in ("json", "override") else instance)

    KINDS = ("json", "override", "form", "page", "patch", "put", "stow", "parts")

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZip", "identity, gzip", "gzip,identity"])
    def test_gzip_of_several_members(self, gantry: Gantry, kind: str, coding: str) -> None:
        if kind == "patch":
            assert Web(gantry).store(make_instance(*UIDS)).status_code == 200
        data = self.body(kind)
        body = split(data, 3, len(data) // 2)
        response = self.send(gantry, kind, body, **{"content-encoding": coding})
        assert response.status_code in (200, 303), response.text
        if kind in ("put", "stow", "parts"):
            kept = Web(gantry).get(uid_path(*UIDS), ONE_AS_STORED)
            assert kept.content == make_instance(*UIDS)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("coding", ["identity", "", "IDENTITY", "identity, identity"])
    def test_no_coding_under_its_name(self, gantry: Gantry, kind: str, coding: str) -> None:
        if kind == "patch":
            assert Web(gantry).store(make_instance(*UIDS)).status_code == 200
        assert self.send(gantry, kind, self.body(kind), **{"content-encoding": coding}).status_code in (200, 303)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("coding", ["gzip, gzip", "deflate", "br", "gzip, deflate", "x-gzip;q=1", "zstd"])
    def test_other_codings_are_named(self, gantry: Gantry, kind: str, coding: str) -> None:
        response = self.send(gantry, kind, gzip.compress(self.body(kind)), **{"content-encoding": coding})
        refused(response, "INVALID_ARGUMENT", "Content-Encoding", http=415)

    @pytest.mark.parametrize("kind", KINDS)
    def test_damaged_gzip_stores_nothing(self, gantry: Gantry, kind: str) -> None:
        data = self.body(kind)
        whole = split(data, len(data) // 2)
        for body in (whole[:-5], whole + b"garbage", data, gzip.compress(data)[:20]):
            response = self.send(gantry, kind, body, **{"content-encoding": "gzip"})
            refused(response, "INVALID_ARGUMENT", "gzip")
        if kind in ("put", "stow", "parts"):
            assert Web(gantry).search("instances") == []

    @pytest.mark.parametrize("kind", KINDS)
    def test_empty_members_without_end(self, gantry: Gantry, kind: str) -> None:
        with watching(gantry) as times:
            members = 3000 if kind == "page" else 50_000 if kind == "form" else 500_000
            response = self.send(gantry, kind, EMPTY * members, **{"content-encoding": "gzip"})
        refused(response, "INVALID_ARGUMENT")
        assert max(times, default=0) < 5


class TestCharsets:
    @pytest.mark.parametrize(
        ("charset", "encoding"),
        [
            *((name, "utf-8") for name in ("utf-8", "UTF8", "utf_8", '"utf-8"')),
            *(("utf-16", "utf-16"), ("UTF-16LE", "utf-16-le"), ("utf-16be", "utf-16-be"), ("utf-32", "utf-32")),
            *(("iso-8859-1", "latin-1"), ("ISO_8859-1", "latin-1"), ("latin1", "latin-1")),
            *(("windows-1252", "cp1252"), ("CP1252", "cp1252")),
        ],
    )
    def test_text_of_a_charset(self, gantry: Gantry, charset: str, encoding: str) -> None:
        body = json.dumps({"labels": {"a": "größe"}}, ensure_ascii=False).encode(encoding)
        headers = {"content-type": f"application/json; charset={charset}"}
        answer = gantry.call("PATCH", f"v1/{gantry.store}?updateMask=labels", content=body, headers=headers)
        assert answer["labels"] == {"a": "größe"}

    @pytest.mark.parametrize(
        "charset", ["punycode", "idna", "utf-7", "zlib", "hex", "unicode_escape", "shift_jis", "x"]
    )
    def test_no_other_charset(self, gantry: Gantry, charset: str) -> None:
        headers = {"content-type": f"application/json; charset={charset}"}
        for path, verb in ((f"v1/{gantry.store}?updateMask=labels", "PATCH"), (f"v1/{gantry.store}:import", "POST")):
            with watching(gantry) as times:
                response = gantry.request(verb, path, content=b"a" * (1 << 20), headers=headers)
            refused(response, "INVALID_ARGUMENT", "charset")
            assert max(times, default=0) < 5


class TestLargeJson:
    """What is expensive to read is refused by its text."""

    HARD = (
        "{" + ",".join(f'"unknown{number}":{number}' for number in range(400_000)) + "}",
        '{"a":[' + "[]," * 2_000_000 + "1]}",
        '{"a":[' + "{}," * 2_000_000 + "1]}",
        "{" + '"a":1,' * 1_000_000 + '"a":1}',
        "{" + "'a':1," * 1_000_000 + "'a':1}",
        '{"' + "k" * (8 << 20) + '":1}',
        '{"a":' + "9" * (8 << 20) + "}",
        '{"a":0.' + "9" * (8 << 20) + "}",
        '{"a":"' + "x" * (8 << 20),
        "/*" + "x" * (8 << 20),
        "{'a':'" + "\\u0041" * 1_000_000 + "'}",
        "[" * (8 << 20),
        '{"a":' * 1_000_000,
        " " * (8 << 20) + "x",
        "{" + "a" * (8 << 20),
    )

    @pytest.mark.parametrize("text", HARD, ids=[str(number) for number in range(len(HARD))])
    def test_others_are_served_meanwhile(self, gantry: Gantry, text: str) -> None:
        with watching(gantry) as times:
            response = gantry.request("POST", f"v1/{gantry.store}:import", content=text.encode(), headers=JSON_TYPE)
        error = refused(response, "INVALID_ARGUMENT")
        assert len(error["message"]) < 1000
        assert max(times, default=0) < 3

    def test_the_limit_of_values(self) -> None:
        head = '{"a": ['
        few = head + ",".join("1" for _ in range(MAX_VALUES - 2)) + "]}"
        assert len(Body(pieces_of(few.encode())).json_object()["a"]) == MAX_VALUES - 2
        with pytest.raises(InvalidArgument, match="beginning with the field 'a'"):
            Body(pieces_of((head + "1," * MAX_VALUES + "1]}").encode())).json_object()

    @pytest.mark.parametrize("head", ["[", " [[", '{"": ['])
    def test_too_many_values_without_a_first_field(self, head: str) -> None:
        with pytest.raises(InvalidArgument, match="cannot be read as JSON") as refused:
            Body(pieces_of((head + "1," * MAX_VALUES + "1]").encode())).json_object()
        assert "beginning with" not in refused.value.message

    def test_text_of_many_commas_is_long_text(self) -> None:
        """Below the limit of values, whatever stands in strings."""
        text = json.dumps({"a": "," * (MAX_VALUES - 2)})
        assert Body(pieces_of(text.encode())).json_object()["a"].count(",") == MAX_VALUES - 2

    def test_a_body_is_parsed_once(self) -> None:
        body = Body(pieces_of(b'{"a": 1}'))
        assert body.json_object() is body.json_object()


class TestItems:
    @pytest.mark.parametrize("text", ["[]", "[1]", ' [ 1 , {"a": [2]} ] \n', '{"a": 1}', "7", '["a,]"]'])
    def test_one_by_one(self, text: str) -> None:
        value = json.loads(text)
        assert list(parse_items(text)) == (value if isinstance(value, list) else [value])

    @pytest.mark.parametrize("text", ["[", "[1", "[1,", "[1,]", "[1 2]", "[1]]", "[1],", "]", "", "[,1]", "[1}"])
    def test_faults(self, text: str) -> None:
        with pytest.raises(ValueError, match="char"):
            list(parse_items(text))


class TestWords:
    """Answers are in our words, not in those of a library."""

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"\x1f\x8b\x08", "not valid utf-8 text"),
            (b"/* comment", "is not closed"),
            (b"{'a': 1,\n 'b' 2}", "line 2, column 6"),
            (b"{'a': 1} {}", "more follows"),
            (b"{'a'", "not closed"),
            (b"{'a': nul}", "line 1"),
            (b"[" * 200, "nested more than 100 deep"),
        ],
    )
    def test_of_json(self, gantry: Gantry, body: bytes, words: str) -> None:
        response = gantry.request("POST", f"v1/{gantry.store}:import", content=body)
        message = refused(response, "INVALID_ARGUMENT", words)["message"]
        for foreign in ("codec", "b'", "near ", "Expecting", "U+", "found", "Stray", "Unclosed", "char "):
            assert foreign not in message


class TestSizes:
    @pytest.mark.parametrize("path", ["token", "sign-in", "sign-out", "console/create"])
    def test_forms_are_small(self, gantry: Gantry, path: str) -> None:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        response = gantry.request("POST", path, content=b"token=" + b"x" * MAX_FORM_BYTES, headers=headers)
        refused(response, "INVALID_ARGUMENT", "larger")

        def chunks() -> Iterator[bytes]:
            for _ in range(MAX_FORM_BYTES // 1000 + 2):
                yield b"x" * 1000

        refused(gantry.request("POST", path, content=chunks(), headers=headers), "INVALID_ARGUMENT", "larger")


def test_a_stow_of_two_members_is_stored_whole(gantry: Gantry) -> None:
    """Everything behind the first member was lost, and the answer was 200."""
    data = make_instance(*UIDS, bytes(range(256)) * 16)
    content_type, body = multipart([data])
    headers = {"content-type": content_type, "content-encoding": "gzip"}
    response = gantry.request("POST", f"v1/{gantry.store}/dicomWeb/studies", content=split(body, 400), headers=headers)
    assert response.status_code == 200, response.text
    assert Web(gantry).get(uid_path(*UIDS), ONE_AS_STORED).content == data
