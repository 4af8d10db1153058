"""A server that answers wrongly is not timed: a real server behind a proxy that lies, for every scenario."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import imagecodecs
import numpy as np
import pytest
from benchmarks import dicomweb, dicomweb_scenarios
from benchmarks.corpus import make_corpus
from benchmarks.dicomweb_checks import JSON, STOW_TYPE, NotAvailable
from benchmarks.dicomweb_scenarios import MOST_ROUNDS, PER_SERIES, PER_STUDY, SCENARIOS, Data, Scenario, make_data
from benchmarks.load import Load, Plan, run
from benchmarks.machine import BenchmarkError

from tests.support.gantry import Gantry
from tests.support.server import GantryServer

Lie = Callable[[int, str, bytes], tuple[int, str, bytes]]
SMALL = {"PER_SERIES": 4, "PER_STUDY": 20, "LARGE_BYTES": 40_000, "STOW_INSTANCES": 3, "_BODIES_PER_ROUND": 2}
"""So much less is made than for a run that counts."""


def lists(change: Callable[[list[Any]], list[Any]]) -> Lie:
    return lambda status, kind, body: (status, kind, json.dumps(change(json.loads(body))).encode())


def bodies(change: Callable[[bytes], bytes]) -> Lie:
    return lambda status, kind, body: (status, kind, change(body))


def stranger(items: list[Any]) -> list[Any]:
    return [*items[1:], items[0] | {tag: {"vr": "UI", "Value": ["1.2.3"]} for tag in ("0020000D", "00080018")}]


def without(tag: str) -> Lie:
    return lists(lambda items: [{key: value for key, value in item.items() if key != tag} for item in items])


def last_part(kind: str, body: bytes) -> tuple[int, bytes]:
    """Where the last part begins, and the delimiter."""
    mark = b"--" + re.search(r'boundary="?([^";]+)', kind)[1].encode()  # type: ignore[index]
    return body.rindex(mark + b"\r\n"), mark


def one_part_less(status: int, kind: str, body: bytes) -> tuple[int, str, bytes]:
    start, mark = last_part(kind, body)
    return status, kind, body[:start] + mark + b"--\r\n"


def bit(body: bytes) -> bytes:
    """One bit of the pixels: in the middle of the only part, or of the eleventh of twenty."""
    place = len(body) * 21 // 40
    return body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]


def repainted(change: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]) -> Lie:
    def lie(body: bytes) -> bytes:
        return bytes(imagecodecs.jpeg_encode(np.ascontiguousarray(change(imagecodecs.jpeg_decode(body)))))

    return bodies(lie)


def stored(change: Callable[[dict[str, Any]], None]) -> Lie:
    def lie(status: int, kind: str, body: bytes) -> tuple[int, str, bytes]:
        said = json.loads(body)
        change(said)
        return status, kind, json.dumps(said).encode()

    return lie


EVERYWHERE: dict[str, Lie] = {
    "error page": lambda *_: (200, "text/html", b"<html>Sorry</html>"),
    "nothing": lambda *_: (204, JSON, b""),
    "server error": lambda _, kind, body: (500, kind, body),
    "elsewhere": lambda _, kind, body: (302, kind, body),
    "cut": bodies(lambda body: body[: len(body) * 2 // 3]),
}
LISTS = {
    "empty list": lists(lambda _: []),
    "one less": lists(lambda items: items[1:]),
    "one twice": lists(lambda items: [*items, items[0]]),
    "one for another": lists(lambda items: [*items[1:], items[-1]] if len(items) > 1 else []),
    "stranger": lists(stranger),
}
HEADERS = LISTS | {
    "UIDs alone": lists(lambda items: [{"00080018": item["00080018"]} for item in items]),
    "an element less": without("00180050"),
    "no value": lists(lambda items: [item | {"00180050": {"vr": "DS"}} for item in items]),
    "another value": lists(lambda items: [item | {"00200013": {"vr": "IS", "Value": [7]}} for item in items]),
    "an element less in one": lists(lambda items: [*items[:-1], {"00080018": items[-1]["00080018"]}]),
}
PARTS: dict[str, Lie] = {
    "one part less": one_part_less,
    "a bit": bodies(bit),
    "no end": lambda status, kind, body: (status, kind, body[: body.rindex(b"\r\n--")]),
    "no boundary": lambda status, _, body: (status, "application/dicom", body),
}
PICTURES = {
    "smaller": repainted(lambda picture: picture[::2, ::2]),
    "a row less": repainted(lambda picture: picture[:-1]),
    "black": repainted(np.zeros_like),
    "upside down": repainted(lambda picture: picture[::-1]),
    "negative": repainted(lambda picture: 255 - picture),
    "noise": repainted(lambda picture: np.random.default_rng(1).integers(0, 255, picture.shape, "u1")),
    "half": repainted(lambda picture: np.where(np.arange(len(picture))[:, None] < len(picture) // 2, picture, 0)),
}
STORED = {
    "one less": stored(lambda said: said["00081199"]["Value"].pop()),
    "stranger": stored(lambda said: said["00081199"]["Value"][0]["00081155"].update(Value=["1.2.3"])),
    "failed": stored(lambda said: said.update({"00081198": said.pop("00081199")})),
}
LIES = {
    "search-studies": LISTS,
    "search-patient": LISTS,
    "search-instances": LISTS,
    "series-metadata": HEADERS,
    "retrieve-study": PARTS,
    "retrieve-instance": PARTS,
    "rendered": PICTURES,
    "store": STORED,
}


class Proxy(ThreadingHTTPServer):
    """Of a DICOMweb root. ``lie`` changes each answer; ``lied`` says whether any was changed.

    A body is stored once, and the answer is kept: the same instances again would be a conflict.
    """

    lie: Lie | None = None
    lied = False

    def __init__(self, target: str) -> None:
        self.client = httpx.Client(timeout=60)
        self.said: dict[bytes, httpx.Response] = {}
        self.target = target
        super().__init__(("127.0.0.1", 0), _Handler)
        self.base = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        said = self.server.said.get(content) or self._pass_on(content)
        if content:
            self.server.said[content] = said
        answer = (said.status_code, said.headers.get("content-type", ""), said.content)
        if self.server.lie:
            changed = self.server.lie(*answer)
            self.server.lied |= changed != answer
            answer = changed
        self.send_response(answer[0])
        self.send_header("Content-Type", answer[1])
        self.send_header("Content-Length", str(len(answer[2])))
        self.end_headers()
        self.wfile.write(answer[2])

    do_POST = do_GET

    def _pass_on(self, content: bytes) -> httpx.Response:
        headers = {key: self.headers[key] for key in ("Accept", "Content-Type") if key in self.headers}
        url = self.server.target + self.path
        return self.server.client.request(self.command, url, headers=headers, content=content)

    def log_message(self, *_: object) -> None: ...


@dataclass
class World:
    """``roots``: of the store that holds everything, and of the one that is stored to."""

    data: Data
    proxy: Proxy
    roots: tuple[str, str]


@pytest.fixture(scope="module")
def world(server: GantryServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """What a benchmark has, on a smaller scale, and a proxy before the server."""
    work = tmp_path_factory.mktemp("bench")
    gantry = Gantry(server)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(dicomweb_scenarios, name, value)
        data = make_data(work, 2)
        for corpus in (data.small, data.large):
            for number, item in enumerate(corpus.slices):
                (server.buckets / gantry.bucket / f"{corpus.size}-{number}.dcm").hardlink_to(
                    corpus.directory / item.path
                )
        assert "error" not in gantry.import_("**")
        held, given = (f"{server.url}/v1/{store}/dicomWeb" for store in (gantry.store, gantry.new_store("given")))
        for item in data.uploads_of(0):
            httpx.post(f"{given}/studies", content=item.path.read_bytes(), headers={"Content-Type": STOW_TYPE})
        proxy = Proxy(held)
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        yield World(data, proxy, (held, given))
        proxy.shutdown()
        thread.join()
        proxy.server_close()
        proxy.client.close()


def name_of(scenario: Scenario) -> str:
    return f"{scenario.name} {scenario.variant}".strip()


each = pytest.mark.parametrize("scenario", SCENARIOS, ids=name_of)


@contextmanager
def lying(world: World, lie: Lie | None, stored_to: bool = False) -> Iterator[None]:
    world.proxy.lie, world.proxy.lied, world.proxy.target = lie, False, world.roots[stored_to]
    try:
        yield
    finally:
        world.proxy.lie = None


def asked(world: World, scenario: Scenario, lie: Lie | None, check: Callable[[str], None]) -> None:
    """Raises what the benchmark raises of a server that answers so."""
    with lying(world, lie, scenario.name == "store"), dicomweb._blamed("it", scenario):
        check(world.proxy.base)


@each
def test_a_right_answer_is_taken_and_wrong_ones_are_not(scenario: Scenario, world: World) -> None:
    check = scenario.check(world.data)
    asked(world, scenario, None, check)
    for name, lie in (EVERYWHERE | LIES[scenario.name]).items():
        with pytest.raises(BenchmarkError):
            asked(world, scenario, lie, check)
            pytest.fail(f"{name}: taken for a right answer")
        assert world.proxy.lied, name


@pytest.mark.slow
def test_what_was_stored_is_asked_for_afterwards(world: World) -> None:
    (scenario,) = [item for item in SCENARIOS if item.name == "store"]
    after = scenario.after(world.data, 0)
    asked(world, scenario, None, after)

    def only(of: str, lie: Lie) -> Lie:
        return lambda status, kind, body: lie(status, kind, body) if of in kind else (status, kind, body)

    lies = {name: only("json", LISTS[name]) for name in ("empty list", "one less", "stranger")}
    lies |= {name: only("multipart", lie) for name, lie in PARTS.items()}
    for name, lie in (EVERYWHERE | lies).items():
        with pytest.raises(BenchmarkError):
            asked(world, scenario, lie, after)
            pytest.fail(f"{name}: taken for a right answer")
        assert world.proxy.lied, name
    with pytest.raises(BenchmarkError, match="instances that were stored are not found"):
        asked(world, scenario, None, scenario.after(world.data, 1))  # which nobody has stored


@each
@pytest.mark.parametrize("status", [404, 501])
def test_what_a_server_does_not_offer_is_no_wrong_answer(status: int, scenario: Scenario, world: World) -> None:
    with pytest.raises(NotAvailable, match=str(status)):
        asked(world, scenario, lambda *_: (status, JSON, b"[]"), scenario.check(world.data))


def test_nobody_is_timed_on_it(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    timed: list[str] = []

    def timing(plan: Plan) -> Load:
        timed.append(plan.base)
        return Load(1, 1, 1.0, 1.0)

    monkeypatch.setattr(dicomweb, "run", timing)
    bases = {"gantry": world.roots[0], "orthanc": world.proxy.base}
    with (
        lying(world, lambda *_: (200, JSON, b"[]")),
        pytest.raises(BenchmarkError, match=r"orthanc: .* 0 results"),
    ):
        dicomweb._measure(SCENARIOS[0], bases, world.data, 1, tmp_path)
    assert timed == []
    with lying(world, lambda *_: (404, JSON, b"[]")):
        result = dicomweb._measure(SCENARIOS[0], bases, world.data, 1, tmp_path)
    assert timed == [world.roots[0]]
    assert (result.ratio, result.skipped) == (None, {"orthanc": "HTTP 404"})


@pytest.mark.parametrize("status", [204, 302, 404, 500])
def test_an_error_under_load_ends_the_run(status: int, world: World) -> None:
    with lying(world, lambda *_: (status, JSON, b"")), pytest.raises(BenchmarkError, match=f"HTTP {status}"):
        run(Plan(world.proxy.base, ["/studies"], JSON))


def test_rounds_share_nothing(world: World) -> None:
    """Neither bodies to store nor series that nobody has asked for; the series that is asked for again is no such."""
    by_name = {name_of(item): item for item in SCENARIOS}
    plans = [by_name["series-metadata cold"].plan("", world.data, number) for number in range(MOST_ROUNDS)]
    cold = [path for plan in plans for path in plan.paths]
    warm = by_name["series-metadata warm"].plan("", world.data, 0).paths
    assert len(cold) == len(set(cold)) >= MOST_ROUNDS
    assert not set(cold) & set(warm)
    uploads = [uids for number in range(MOST_ROUNDS) for item in world.data.uploads_of(number) for uids in item.uids]
    assert len(set(uploads)) == MOST_ROUNDS * SMALL["_BODIES_PER_ROUND"] * SMALL["STOW_INSTANCES"]
    assert not set(uploads) & {item.uids for item in world.data.small.slices + world.data.large.slices}


def test_a_study_is_five_series_of_forty(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "bucket", 2 * PER_STUDY, 3000, PER_SERIES, 1)
    studies: dict[str, dict[str, int]] = {}
    for item in corpus.slices:
        study = studies.setdefault(item.uids[0], {})
        study[item.uids[1]] = study.get(item.uids[1], 0) + 1
    assert [sorted(study.values()) for study in studies.values()] == [[40] * 5] * 2


def test_the_picture_has_shades() -> None:
    """In the window of the files, -160 to 240; black or white alone would be no work for a codec."""
    values = np.frombuffer(dicomweb_scenarios.phantom(), "<u2").astype(int) - 1024
    assert len(values) == 512 * 512
    assert 0.3 < np.mean((values > -160) & (values < 240)) < 0.9
