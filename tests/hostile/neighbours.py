"""What must not change while somebody attacks: the server's process, a neighbour's data, and its memory."""

from __future__ import annotations

import struct

import httpx

from tests.pixels.instances import Extra, image
from tests.support import memory
from tests.support.answers import refused
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.web import ONE_AS_STORED, Web, uid_path

UIDS = ("1.2.826.1", "1.2.826.1.1", "1.2.826.1.1.1")
"""Of whatever ``tests.pixels.instances.image`` makes."""

NEIGHBOUR = ("1.2.77", "1.2.77.1", "1.2.77.1.1")
MOST_GROWTH = 512 << 20
"""Bytes of all processes together: a frame of 150 MB as it is decoded and as it is painted, and a worker that had to
be started anew. Whatever claims gigabytes and is believed takes more."""


class Neighbours:
    """``web`` is the store that is attacked; another one in the same server holds the neighbour's data."""

    def __init__(self, gantry: Gantry) -> None:
        self.gantry, self.web = gantry, Web(gantry)
        self._pid = gantry.server.process.pid
        self.most_growth = MOST_GROWTH
        self._store = gantry.new_store("neighbour")
        self._root = f"v1/{self._store}/dicomWeb/{uid_path(*NEIGHBOUR)}"
        self._data = image(bytes(range(16)), 4, 4)
        for old, new in zip(UIDS[::-1], NEIGHBOUR[::-1], strict=True):
            self._data = self._data.replace(old.encode(), new.encode().ljust(len(old), b"\0"))
        gantry.put(gantry.bucket, "neighbour.dcm", self._data)
        assert "error" not in gantry.import_("neighbour.dcm", store=self._store)
        self._picture = self._painted()
        memory.reset_peaks(self._pid)
        self._before = memory.peaks(self._pid)

    def _painted(self) -> bytes:
        response = self.gantry.request("GET", f"{self._root}/rendered", headers={"accept": "image/png"})
        assert response.status_code == 200, response.text
        return response.content

    def check(self) -> None:
        """All is as it was."""
        growth = memory.peaks(self._pid) - self._before
        server = self.gantry.server
        assert server.process.poll() is None and server.process.pid == self._pid
        assert server.request("GET", "healthz").status_code == 200
        found = self.gantry.request("GET", self._root, headers={"accept": ONE_AS_STORED})
        assert (found.status_code, found.content) == (200, self._data)
        assert self._painted() == self._picture
        assert growth < self.most_growth, f"{growth >> 20} MiB more"

    # Attacks ----------------------------------------------------------------------------------------------------------

    def import_one(self, data: bytes) -> str:
        """The message of its failure, "" where it was stored."""
        self.gantry.put(self.gantry.bucket, "attack.dcm", data)
        operation = self.gantry.import_("attack.dcm")
        failures = self.gantry.failures(operation)
        assert len(failures) <= 1
        for status in failures.values():
            assert status["code"] == 3, status
            return str(status["message"])
        return ""

    def store_one(self, data: bytes) -> httpx.Response:
        """200 or 409, in the shape of PS3.18 §10.5.3."""
        response = self.web.store(data)
        assert response.status_code in (200, 409), response.text
        assert response.json().keys() == ({"00081199", "00081190"} if response.status_code == 200 else {"00081198"})
        return response


def bounded(response: httpx.Response) -> None:
    """An error of the client, in the API's shape, that a person can read."""
    statuses = {
        400: ("INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE"),
        404: ("NOT_FOUND",),
        406: ("INVALID_ARGUMENT",),
    }
    assert response.status_code in statuses, f"{response.status_code} {response.text[:500]}"
    error = refused(response, response.json()["error"]["status"], http=response.status_code)
    assert error["status"] in statuses[response.status_code]
    assert 0 < len(error["message"]) < 2000


def nested(levels: int, *, defined: bool = False) -> bytes:
    """An instance with Content Sequences (0040,A730) inside of each other."""
    inside = b""
    if defined:
        for _ in range(levels):
            item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inside)) + inside
            inside = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, len(item)) + item
    else:
        sequence = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF)
        item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        ends = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        inside = (sequence + item) * levels + ends * levels
    data = make_instance(*UIDS)
    at = data.index(b"\xe0\x7f\x10\x00OW")
    return data[:at] + inside + data[at:]


def with_numbers(data: bytes, **numbers: tuple[str, int]) -> bytes:
    """``data`` with other values of elements of group 0028: ``_0010=("US", 65535)``; a VR of four bytes fits too."""
    at = data.index(b"DICM") + 4
    at = data.index(b"\x08\0\x16\0UI", at)
    head, found = data[:at], []
    while at < len(data):
        group, element, vr, length = struct.unpack_from("<HH2sH", data, at)
        if group == 0x7FE0:
            break
        size = 12 + struct.unpack_from("<I", data, at + 8)[0] if vr == b"OW" else 8 + length
        if f"_{element:04x}" not in numbers or group != 0x28:
            found.append((group, element, data[at : at + size]))
        at += size
    for key, (kind, value) in numbers.items():
        text = str(value) + " " * (len(str(value)) % 2)
        raw = text.encode() if kind == "IS" else struct.pack("<I" if kind == "UL" else "<H", value)
        entry = struct.pack("<HH2sH", 0x28, int(key[1:], 16), kind.encode(), len(raw)) + raw
        found.append((0x28, int(key[1:], 16), entry))
    return head + b"".join(raw for _, _, raw in sorted(found)) + data[at:]


PALETTE: list[Extra] = [
    *((0x28, 0x1101 + number, b"US", struct.pack("<HHH", 4, 0, 16)) for number in range(3)),
    *((0x28, 0x1201 + number, b"OW", bytes(range(8))) for number in range(3)),
]
"""Tables of four entries each."""
