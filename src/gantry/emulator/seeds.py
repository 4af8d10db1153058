"""What an emulator begins with: DICOM files of directories, in datasets and DICOM stores that the names tell."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from gantry.errors import AlreadyExists, Code, InvalidArgument
from gantry.names import DatasetName, DicomStoreName, LocationName, check_dataset_id, check_dicom_store_id
from gantry.resources import Dataset, DicomStore
from gantry.seams import Seams
from gantry.studies.store import Incoming, store
from gantry.studies.uploads import Uploads
from gantry.system_errors import describe_os_error

logger = logging.getLogger(__name__)

_NAMED = re.compile(r"([^/=]+)/([^/=]+)=(.+)")
_PIECE = 1 << 20  # bytes read at a time


class Seed(NamedTuple):
    """Every file in ``directory``, at any depth, is for this store; None: there are none."""

    store: DicomStoreName
    directory: Path | None


def read_seeds(texts: Sequence[str], location: LocationName) -> list[Seed]:
    """``DATASET/STORE=DIR``, or ``DIR`` with directories DATASET/STORE in it. Raises InvalidArgument."""
    return [seed for text in texts for seed in _read(text, location)]


def read_stores(texts: Sequence[str], location: LocationName) -> list[Seed]:
    """``DATASET/STORE``: a store to begin with that is empty. Raises InvalidArgument."""
    return [Seed(_name(location, *text.partition("/")[::2]), None) for text in texts]


def _read(text: str, location: LocationName) -> Iterator[Seed]:
    if named := _NAMED.fullmatch(text):
        yield Seed(_name(location, named[1], named[2]), _require_directory(Path(named[3])))
        return
    above = _require_directory(Path(text))
    found = [each for each in sorted(above.glob("*/*")) if each.is_dir()]
    if not found:
        raise InvalidArgument(f"--seed {text}: has no directories DATASET/STORE; write --seed DATASET/STORE={text}")
    for each in found:
        yield Seed(_name(location, each.parent.name, each.name), each)


def _name(location: LocationName, dataset: str, store: str) -> DicomStoreName:
    return DicomStoreName(location.project, location.location, check_dataset_id(dataset), check_dicom_store_id(store))


def _require_directory(path: Path) -> Path:
    if not path.is_dir():
        raise InvalidArgument(f"--seed {path}: is not a directory")
    return path.absolute()


def sow(seams: Seams, uploads: Uploads, seeds: Sequence[Seed]) -> int:
    """Make the stores that are missing and store the files; how many were stored. A file that is no DICOM instance is
    named in the log."""
    return sum(_sow(seams, uploads, seed) for seed in seeds)


def _sow(seams: Seams, uploads: Uploads, seed: Seed) -> int:
    _make(seams, seed.store)
    if seed.directory is None:
        return 0
    stored = store(seams, uploads, seed.store, _read_files(seed.directory))
    for refused in stored.refused:
        if refused.status.code != Code.ALREADY_EXISTS:
            logger.warning("seed %s: %s", seed.directory, refused.status.message)
    return len(stored.instances)


def _make(seams: Seams, name: DicomStoreName) -> None:
    resources = seams.index.resources
    with suppress(AlreadyExists):
        resources.create_dataset(Dataset(DatasetName(name.project, name.location, name.dataset)), "v1")
    with suppress(AlreadyExists):
        resources.create_dicom_store(DicomStore(name))


def _read_files(directory: Path) -> Iterator[Incoming]:
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            yield Incoming(str(path.relative_to(directory)), _read_file(path))


def _read_file(path: Path) -> Iterator[bytes]:
    """Raises InvalidArgument."""
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
    except OSError as error:
        raise InvalidArgument(f"cannot be read: {describe_os_error(error)}") from None
