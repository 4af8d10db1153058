"""The DICOM files that pydicom ships, laid out as a bucket."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from gantry.dicom.part10 import read_header
from gantry.errors import FailedPrecondition, StatusError
from gantry.languages import _

BROKEN = "incoming/broken/truncated.dcm"


class Source(NamedTuple):
    """A file to import: its key in the bucket, its size in bytes and its SHA-256."""

    key: str
    size: int
    sha256: str


def lay_out(put: Callable[[str, bytes], None]) -> dict[str, Source]:
    """``put`` pydicom's files by their keys, each instance once, and one truncated file. By path of the instance."""
    sources: dict[str, Source] = {}
    longest = b""
    for path, name in _shipped_files():
        data = path.read_bytes()
        try:
            header = read_header(lambda offset, length, data=data: data[offset : offset + length], len(data))  # type: ignore[misc]
        except StatusError:
            continue
        uids = f"{header.study_instance_uid}/{header.series_instance_uid}/{header.sop_instance_uid}"
        if uids not in sources:
            source = Source(f"incoming/{_modality(path)}/{name}", len(data), hashlib.sha256(data).hexdigest())
            put(source.key, data)
            sources[uids] = source
            longest = max(longest, data, key=len)
    if not sources:
        raise FailedPrecondition(_("this pydicom has no DICOM files; install it from PyPI: pip install pydicom"))
    put(BROKEN, longest[: len(longest) // 2])
    return sources


def _shipped_files() -> Iterator[tuple[Path, str]]:
    """The files of the pydicom package, each with its name in the bucket."""
    spec = find_spec("pydicom")
    if spec is None or spec.origin is None:
        raise FailedPrecondition(_("the demo needs pydicom and the files it ships: pip install 'gantry-dicom[demo]'"))
    folder = Path(spec.origin).parent / "data"
    for part, place in (("test_files", ""), ("charset_files", "charsets/")):
        for path in sorted((folder / part).rglob("*")):
            if path.is_file():
                name = path.relative_to(folder / part).as_posix()
                yield path, place + name.replace("dicomdirtests/", "media/")


def _modality(path: Path) -> str:
    """``ct``, ``mr``; ``other`` if the file has none."""
    from pydicom import dcmread

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = dcmread(path, stop_before_pixels=True, specific_tags=["Modality"]).get("Modality")
        except Exception:
            value = None
    text = str(value or "").lower()
    return text if text.isalnum() else "other"
