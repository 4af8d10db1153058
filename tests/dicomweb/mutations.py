"""Requests near those that work, by a seed: for servers that must answer each of them in their own words."""

from __future__ import annotations

import random

from tests.dicomweb.instances import instance, packaged, uids_of
from tests.support.gantry import Gantry
from tests.support.web import AS_STORED, JSON, Web, multipart, uid_path

A = ("1.2.1", "1.2.1.1", "1.2.1.1.1")
ALPHABET = [
    *"*?,\\=^&%;/.:'\"<>[]{}()|#+- \t\0\x7f",
    *(
        "%00",
        "%2F",
        "%5C",
        "%FF",
        "%C3%BC",
        "..",
        "//",
        "0" * 70,
        "9" * 30,
        "é",
        "\U0001f600",
        "-1",
        "1e9",
        "NaN",
        "null",
    ),
    *(
        "all",
        "true",
        "*" * 50,
        "?" * 50,
        "1.2." * 40,
        "transfer-syntax=*",
        "q=0",
        "q=2",
        'type="',
        "boundary=",
        "bytes=",
        "W/",
    ),
]
ATTRIBUTES = (
    *("PatientName", "PatientID", "StudyDate", "StudyTime", "ModalitiesInStudy", "StudyDescription", "AccessionNumber"),
    *(
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "SOPInstanceUID",
        "InstanceNumber",
        "includefield",
        "fuzzymatching",
        "limit",
    ),
    *("offset", "00100010", "viewport", "window", "quality", "accept", "Foo"),
)
VALUES = (
    *(
        "Doe*",
        "*doe*",
        "P1",
        "20240101",
        "20240101-",
        "-2024",
        "1015-1016",
        "CT,MR",
        "1.2.3",
        "1.2.1,1.2.2",
        "all",
        "true",
        "10",
    ),
    *("00100010,PatientID", "100,100", "100,100,0,0,10,10", "40,400,linear", "50", "application/dicom+json", ""),
)
TYPES = (
    *("*/*", "*/*", JSON, "application/dicom", AS_STORED, "image/jpeg", "image/png", "application/octet-stream"),
    *('multipart/related; type="application/dicom+xml"', 'multipart/related; type="image/jp2"', "text/html, */*;q=0.1"),
)


class Mutations:
    """Requests near those that work, by a seed."""

    def __init__(self, seed: int, root: str, paths: list[str], bodies: list[tuple[str, bytes]]) -> None:
        self.chance = random.Random(seed)
        self.root, self.paths, self.bodies = root, paths, bodies

    def bent(self, text: str) -> str:
        """A few characters put in, taken out or doubled."""
        for _ in range(self.chance.choice((0, 0, 0, 0, 0, 0, 1, 1, 5))):
            at = self.chance.randint(0, len(text))
            what = self.chance.random()
            if what < 0.6:
                text = text[:at] + self.chance.choice(ALPHABET) + text[at:]
            elif what < 0.8:
                text = text[:at] + text[at + self.chance.randint(1, 5) :]
            else:
                text = text[:at] + text[at : at + 10] + text[at:]
        return text

    def request(self) -> tuple[str, str, dict[str, str], bytes]:
        path = self.bent(self.chance.choice(self.paths))
        if self.chance.random() < 0.4:
            pairs = (
                f"{self.bent(self.chance.choice(ATTRIBUTES))}={self.bent(self.chance.choice(VALUES))}"
                for _ in range(self.chance.randint(1, 4))
            )
            path += "?" + "&".join(pairs)
        headers = {"Accept": self.bent(self.chance.choice(TYPES))}
        if self.chance.random() < 0.2:
            headers["Range"] = self.bent("bytes=0-10")
        if self.chance.random() < 0.1:
            headers["If-None-Match"] = self.bent('"x", W/"y"')
        verb, body = "GET", b""
        if self.chance.random() < 0.15:
            verb, path = self.chance.choice(("POST", "PUT")), self.bent("studies")
            content_type, body = self.chance.choice(self.bodies)
            headers["Content-Type"] = self.bent(content_type)
            body = self.bent_bytes(body)
        return verb, path, headers, body

    def bent_bytes(self, data: bytes) -> bytes:
        body = bytearray(data)
        for _ in range(self.chance.randint(0, 4)):
            at = self.chance.randrange(len(body))
            body[at : at + self.chance.randint(0, 3)] = self.chance.randbytes(self.chance.randint(0, 3))
        return bytes(body[: self.chance.choice((len(body), len(body), self.chance.randrange(len(body) + 1)))])


def prepare(gantry: Gantry, seed: int) -> Mutations:
    """Three instances in the store of ``gantry``, and requests around them."""
    web = Web(gantry, "v1beta1")
    data = [instance(A, StudyDescription="x"), packaged("CT_small.dcm"), packaged("SC_rgb_rle_2frame.dcm")]
    web.stored(*data)
    paths = ["studies", "series", "instances"]
    for each in data:
        uids = uids_of(each)
        paths += [
            uid_path(*uids[:1]),
            f"{uid_path(*uids[:2])}/metadata",
            uid_path(*uids),
            f"{uid_path(*uids)}/metadata",
        ]
        paths += [f"{uid_path(*uids)}/{tail}" for tail in ("frames/1", "rendered", "frames/1,2/rendered", "thumbnail")]
        paths += [
            f"{uid_path(*uids)}/bulkdata/7FE00010",
            f"{uid_path(*uids[:1])}/series",
            f"{uid_path(*uids[:1])}/instances",
        ]
    bodies = [multipart([instance(A)]), multipart([data[1], b"x"]), ("application/dicom", data[0])]
    return Mutations(seed, web.root, paths, bodies)


def line(mutations: Mutations) -> tuple[str, str, dict[str, str], bytes]:
    """A request as it can be written: method, address, headers of printable characters, body."""
    verb, path, headers, body = mutations.request()
    address = f"/{mutations.root}/{''.join(map(encoded, path))}"
    kept = {
        name: "".join(char for char in text if " " <= char <= "~" or "\xa1" <= char <= "\xff")
        for name, text in headers.items()
    }
    return verb, address, kept, body


def encoded(char: str) -> str:
    """Characters of a request line; anything else percent-encoded, as any client must."""
    return char if "!" <= char <= "~" and char != "#" else "".join(f"%{byte:02X}" for byte in char.encode())
