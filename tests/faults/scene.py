"""A bucket in which every outcome occurs, and what an undisturbed import makes of it."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

from tests.support.blobs import find_blobs
from tests.support.dicom import make_instance


class Scene:
    """``count`` objects: mostly new instances; some identical again, some in conflict, some not DICOM.

    ``success`` and ``failure`` are the counters, ``stored`` maps ``study/series/instance`` to SHA-256; ``bytes`` are
    those of all objects, ``stored_bytes`` of what is stored.
    """

    def __init__(self, bucket: Path, count: int, pixel_bytes: int = 2000, seed: int = 1) -> None:
        self.bucket, self.count = bucket, count
        self.stored: dict[str, str] = {}
        self.failing: set[str] = set()
        self.bytes = self.stored_bytes = 0
        chance = random.Random(seed)
        originals: list[tuple[str, str, str]] = []
        for number in range(count):
            key = f"{number // 500:03d}/{number:06d}.dcm"
            kind = chance.random() if number > 20 else 1.0
            if kind < 0.02:
                self._put(key, b"not DICOM")
                self.failing.add(key)
            elif kind < 0.04:
                self._put(key, self._instance(chance.choice(originals), pixel_bytes))
            elif kind < 0.06:
                self._put(key, self._instance(chance.choice(originals), pixel_bytes + 2))
                self.failing.add(key)
            else:
                uids = (
                    f"1.2.3.{number // 200}",
                    f"1.2.3.{number // 50}.1",
                    f"1.2.3.4.{chance.getrandbits(60)}.{number}",
                )
                originals.append(uids)
                data = self._instance(uids, pixel_bytes)
                self._put(key, data)
                self.stored["/".join(uids)] = hashlib.sha256(data).hexdigest()
                self.stored_bytes += len(data)
        self.failure = len(self.failing)
        self.success = count - self.failure
        self.fingerprint = self.read_fingerprint()

    def read_fingerprint(self) -> str:
        """Names, times and bytes of the source: an import must leave all of them alone."""
        digest = hashlib.sha256()
        for path in sorted(self.bucket.rglob("*.dcm")):
            digest.update(f"{path}{path.stat().st_mtime_ns}".encode() + path.read_bytes())
        return digest.hexdigest()

    def _instance(self, uids: tuple[str, str, str], pixel_bytes: int) -> bytes:
        return make_instance(*uids, pixel_bytes=pixel_bytes)

    def _put(self, key: str, data: bytes) -> None:
        path = self.bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.bytes += len(data)


def exported(directory: Path) -> dict[str, str]:
    """``study/series/instance`` → SHA-256 of what lies in an export's directory."""
    return {
        str(path.relative_to(directory)).removesuffix(".dcm"): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


def blobs(data: Path) -> set[str]:
    """Keys of every blob below a server's blobs, orphans included, without its index."""
    return placed(data / "blobs")


def placed(directory: Path) -> set[str]:
    """Keys of every blob in the directory of a storage class."""
    return set(find_blobs(directory))


def files(root: Path) -> set[str]:
    """Names of all files of a directory of blobs, below it. Directories may vanish meanwhile, which ``os.walk`` takes
    as it comes."""
    found = {os.path.relpath(os.path.join(at, name), root) for at, _, names in os.walk(root) for name in names}
    return {name for name in found if "/" in name}  # not the mark of a storage class's directory
