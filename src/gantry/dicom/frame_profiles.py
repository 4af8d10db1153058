"""The ICC profile of each frame of an instance (PS3.3 §C.11.15, §C.8.12.5): read once, not with every frame."""

from __future__ import annotations

from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from gantry.dicom import forms
from gantry.dicom.bulk import BulkPath, BulkReader, Encapsulated
from gantry.dicom.icc_profiles import MAX_PROFILE, extract_from_jpeg
from gantry.dicom.image_source import read_encoded_frames
from gantry.dicom.part10 import MAX_SEQUENCES
from gantry.errors import FailedPrecondition, NotFound

if TYPE_CHECKING:
    from gantry.dicom.buffers import Readable
    from gantry.dicom.encapsulation import EncodedFrames
    from gantry.dicom.image_source import ImagePixel, Source

_ICC_PROFILE, _OPTICAL_PATHS, _IDENTIFIER = 0x00282000, 0x00480105, 0x00480106
_PATH_OF_FRAME = (0x00480207, 0, _IDENTIFIER)  # OpticalPathIdentificationSequence
_SHARED_GROUPS, _FRAME_GROUPS = 0x52009229, 0x52009230
_ORGANIZATION, _TILED_FULL = 0x00209311, "TILED_FULL"
_ADVICE = "ask for iccprofile=no, or leave it out"
_JPEGS = (forms.JPEG_BASELINE, forms.JPEG_EXTENDED)


class _OpticalPath(NamedTuple):
    identifier: str
    profile: bytes | None


class FrameProfiles:
    """Profiles of the frames of one instance. They are looked for when the first one is asked for."""

    def __init__(self, opened: Readable, source: Source, image: ImagePixel) -> None:
        self._opened, self._source, self._image = opened, source, image

    def find(self, number: int) -> bytes | None:
        """The profile of a frame, by its number from 0: ICCProfile of the data set, or of the optical path of the
        frame, else what the stored JPEG has; None for none. Raises FailedPrecondition where it is not known which of
        several optical paths the frame has."""
        found = self._of_data_set or self._of_path(number)
        if found is None and self._source.encapsulated and self._source.transfer_syntax_uid in _JPEGS:
            return extract_from_jpeg(self._bitstreams[number])
        return found

    @cached_property
    def _reader(self) -> BulkReader:
        return BulkReader(self._opened)

    @cached_property
    def _bitstreams(self) -> EncodedFrames:
        return read_encoded_frames(self._source, self._image)

    @cached_property
    def _of_data_set(self) -> bytes | None:
        return self._read((_ICC_PROFILE,)) or None

    @cached_property
    def _paths(self) -> tuple[_OpticalPath, ...]:
        """The optical paths, in the order of the data set. Equal profiles are in memory once."""
        found: list[_OpticalPath] = []
        known: dict[bytes, bytes] = {}
        for item in count():
            identifier = self._read((_OPTICAL_PATHS, item, _IDENTIFIER))
            profile = self._read((_OPTICAL_PATHS, item, _ICC_PROFILE))
            if identifier is None and profile is None:
                break
            kept = known.setdefault(profile, profile) if profile else None
            found.append(_OpticalPath(_read_text(identifier), kept))
        if not found and self._is_too_long():
            raise FailedPrecondition(f"OpticalPathSequence has more than {MAX_SEQUENCES} bytes", advice=_ADVICE)
        return tuple(found)

    def _is_too_long(self) -> bool:
        """Whether the sequence of optical paths is there, and is not read."""
        try:
            found = self._reader.find((_OPTICAL_PATHS,))
        except NotFound:
            return False
        return isinstance(found, Encapsulated) or len(found) > MAX_SEQUENCES

    @cached_property
    def _shared_identifier(self) -> bytes | None:
        return self._read((_SHARED_GROUPS, 0, *_PATH_OF_FRAME))

    @cached_property
    def _is_tiled_full(self) -> bool:
        return _read_text(self._read((_ORGANIZATION,))) == _TILED_FULL

    def _of_path(self, number: int) -> bytes | None:
        profiles = {path.profile for path in self._paths}
        if len(profiles) <= 1:
            return next(iter(profiles), None)
        shared = self._shared_identifier  # before that of the frame: the reader goes through the file in its order
        identifier = self._read((_FRAME_GROUPS, number, *_PATH_OF_FRAME)) or shared
        named = [path for path in self._paths if identifier and path.identifier == _read_text(identifier)]
        if len({path.profile for path in named}) == 1:
            return named[0].profile
        if identifier is None and self._is_tiled_full and not self._image.number_of_frames % len(self._paths):
            # All frames of one path, then those of the next (PS3.3 §C.7.6.17.3).
            return self._paths[number * len(self._paths) // self._image.number_of_frames].profile
        raise FailedPrecondition(
            f"frame {number + 1} does not say which of the optical paths it has, and their ICC profiles differ",
            advice=_ADVICE,
        )

    def _read(self, path: BulkPath) -> bytes | None:
        try:
            found = self._reader.find(path)
        except NotFound:
            return None
        return None if isinstance(found, Encapsulated) else bytes(found[: MAX_PROFILE + 1])


def _read_text(value: bytes | None) -> str:
    return (value or b"").decode("latin-1").strip(" \0")
