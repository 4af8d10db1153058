"""A million headers that somebody has damaged or forged: an instance, or a refusal in words, and nothing is kept.

Every one is read, and every accepted one is described, searched in and fed to a ``JsonWriter`` between two headers that
are whole. Of the accepted ones every ``BULK_EVERY``-th (20th) has all its bulk data fetched, and every
``COPY_EVERY``-th (100th) is written in the other encodings; both are compared with what a plain reader finds. Two
processes take less than eight minutes on two cores. The same seed gives the same headers.
"""

from __future__ import annotations

import json
import random
import resource
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import pytest
from tests.dicom.test_round_trips import EXPLICIT_LE, IMPLICIT_LE, NATIVE, differences, refused_in_words, written
from tests.dicomweb.test_every_bulk_uri import candidates, paths_of, wrong
from tests.pixels.instances import Opened
from tests.support.datasets import FILES
from tests.support.files import content, header_bytes_of
from tests.support.plain_reader import BITS_ALLOCATED, LONG, PIXEL_DATA, PlainFile, find, number_of, read_file

from gantry.dicom.attributes import read_attributes
from gantry.dicom.bulk import find_bulk, parse_bulk_path
from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.json_model import JsonWriter, dicom_json
from gantry.dicom.part10 import read_header, read_header_bytes
from gantry.errors import StatusError

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1800)]

SEED, COUNT, PROCESSES = 20261125, 1_000_000, 2
CHUNK, LONGEST = 5_000, 1_000
BULK_EVERY, COPY_EVERY = 20, 100
URI = "http://h/bulkdata"
REAL = (
    *("CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "rtplan.dcm", "image_dfl.dcm"),
    *("reportsi.dcm", "JPEG2000.dcm", "liver_1frame.dcm", "badVR.dcm", "test-SR.dcm", "waveform_ecg.dcm"),
)
WORDS = (
    *(
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"\xfe\xff\x00\xe0",
        b"\xfe\xff\x0d\xe0",
        b"\xfe\xff\xdd\xe0",
        b"\xff\xff\xff\x7f",
    ),
    *(b"SQ\0\0", b"UN\0\0", b"OB\0\0", b"PN", b"UI", b"\xe0\x7f\x10\x00", b"\x08\x00\x05\x00", b"\0", b"\\", b"="),
    *(b"  ", b"??", b"--", b"ZZ", b"AT", b"FD", b"IS", b"DS", b"\x1b$B", b"\x1b(B", b"9" * 33, b"1e400"),
)


class Original(NamedTuple):
    """A whole file, its header and the JSON of that."""

    name: str
    data: bytes
    header_bytes: HeaderBytes
    text: str


def original(name: str, data: bytes) -> Original:
    header_bytes = header_bytes_of(data)
    return Original(name, data, header_bytes, dicom_json(header_bytes, URI))


def originals() -> Iterator[Original]:
    """Real headers without their long values, and the small made ones, which hold what real ones seldom do."""
    for name in REAL:
        yield original(name, shortened(content(f"pydicom:test_files/{name}")))
    for name, data in FILES.items():
        if len(data) < 3000 and "nested-200" not in name and "deflated" not in name:  # damage seldom inflates
            yield original(name, data)


def shortened(data: bytes) -> bytes:
    """Without the long values of the top level, their heads with them."""
    file = read_file(data)
    pieces, at = [], 0
    for each in file.elements:
        if len(each.value) > LONGEST and not file.deflated:
            begin = file.start + each.start - (12 if each.vr in LONG else 8)
            pieces.append(data[at:begin])
            at = file.start + each.start + len(each.value) + 8 * each.undefined
    return b"".join((*pieces, data[at:]))


def mutated(data: bytes, chance: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.randrange(128, len(made))
        kind = chance.randrange(8)
        if kind < 3:
            made[at] ^= 1 << chance.randrange(8)
        elif kind < 5:
            word = chance.choice(WORDS)
            made[at : at + len(word)] = word
        elif kind == 5:
            del made[at : at + chance.randrange(1, 9)]
        elif kind == 6:
            made[at:at] = chance.choice(WORDS)
        else:
            made[at] = chance.randrange(256)
        if len(made) < 140:
            break
    return bytes(made)


# --- what is looked at


def look(data: bytes) -> HeaderBytes | None:
    """All that is done with the header of an instance; None where it is refused."""

    def read_at(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    try:
        header = read_header(read_at, len(data))
    except StatusError as error:
        assert error.message and error.code.name == "INVALID_ARGUMENT", error
        return None
    header_bytes = read_header_bytes(read_at, len(data), header.layout)
    assert header_bytes is not None
    for describe in (read_attributes, lambda found: dicom_json(found, URI)):
        in_words(describe, header_bytes)
    return header_bytes


def in_words(act: object, *arguments: object) -> None:
    """Nothing, or a StatusError that tells nothing of a library."""
    assert callable(act)
    try:
        act(*arguments)
    except StatusError as error:
        assert refused_in_words(error), error.message


def neighbours_stay(writer: JsonWriter, good: Original, damaged: HeaderBytes) -> None:
    """A header among others of its series changes nothing of their JSON."""
    in_words(writer.write, damaged, URI)
    assert writer.write(good.header_bytes, URI) == good.text


def words_are_known(file: PlainFile) -> bool:
    """Big endian pixels under another VR than OB and OW have words of its size or of their cells: nobody can say."""
    pixels = (each.vr for each in file.elements if each.tag == PIXEL_DATA)
    return file.encoding.order == "<" or all(vr in ("OB", "OW") for vr in pixels)


def fetch_all(data: bytes) -> None:
    """Every address has its bytes; below what the plain reader calls broken there may be more, or nothing."""
    try:
        found = paths_of(data)
    except StatusError:
        return
    file = read_file(data)
    for path in found:
        if (
            words_are_known(file)
            and candidates(file, path)
            and not (path.startswith("0002") and not find(file.meta, [int(path, 16)]))
        ):
            assert wrong(data, file, path) == ""
        else:
            in_words(find_bulk, Opened(data), parse_bulk_path(path))


def copy(data: bytes) -> None:
    first = read_file(data)
    bits = number_of(first.elements, BITS_ALLOCATED)
    for syntax in (EXPLICIT_LE, IMPLICIT_LE):
        try:
            made = written(data, syntax)
        except StatusError as error:
            assert refused_in_words(error), error.message
            continue
        if first.transfer_syntax in NATIVE and made != data and words_are_known(first):
            assert differences(first.elements, read_file(made).elements, bits) == []


# --- the run

_state: dict[int, tuple[Original, JsonWriter]] = {}


def start() -> None:
    """In each process once. A writer has seen the whole header twice before it meets a damaged one."""
    for number, each in enumerate(originals()):
        _state[number] = each, JsonWriter()
        for _ in range(2):
            assert json.loads(_state[number][1].write(each.header_bytes, URI), parse_int=str)


def run_chunk(chunk: int) -> tuple[int, int]:
    """How many of a chunk were accepted, and the memory that this process has ever had, in kB."""
    if not _state:
        start()
    chance, taken = random.Random(SEED + chunk), 0
    for number in range(CHUNK):
        good, writer = _state[chance.randrange(len(_state))]
        data = mutated(good.data, chance)
        try:
            damaged = look(data)
            if damaged is not None:
                taken += 1
                neighbours_stay(writer, good, damaged)
                if taken % BULK_EVERY == 0:
                    fetch_all(data)
                if taken % COPY_EVERY == 0:
                    copy(data)
        except Exception as error:
            text = f"chunk {chunk}, number {number}, {good.name}: {type(error).__name__}: {error}"[:2000]
            raise AssertionError(f"{text}\n{data[:6000].hex()}") from error
    return taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_a_million_of_them() -> None:
    chunks = COUNT // CHUNK
    with ProcessPoolExecutor(PROCESSES) as processes:
        found = list(processes.map(run_chunk, range(chunks)))
    taken = sum(accepted for accepted, _ in found)
    held = [memory for _, memory in found]
    assert COUNT // 5 < taken < COUNT * 9 // 10
    assert max(held) - max(held[: chunks // 10]) < 100_000, "kB more after a million headers than after a tenth of them"


def test_whole_headers_stay_as_they_are() -> None:
    """What a damaged neighbour is judged by holds without one."""
    for good in originals():
        writer = JsonWriter()
        assert [writer.write(good.header_bytes, URI) for _ in range(4)] == [good.text] * 4, good.name
