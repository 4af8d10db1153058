"""The header of an instance: all its elements, without the values that are too long for an index."""

from __future__ import annotations

from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from gantry.dicom.elements import EXPLICIT_LE, DataSet, Encoding, choose_encoding, resolve_vr
from gantry.dicom.tags import SERIES, SOP_INSTANCE, STUDY
from gantry.errors import DataLoss
from gantry.resources import Uids

_HEAD = Struct("<BBHI")  # version, flags, number of cuts, length of the meta group
_ENDS = Struct("<H")  # number of ends, from version 2 on
_CUT, _END = Struct("<IQ"), Struct("<II")
_PIXEL_DATA = (b"\xe0\x7f\x10\0", b"\x7f\xe0\0\x10")  # its tag, little and big endian; nearly always cut
_VERSION, _EXPLICIT, _LITTLE = 2, 1, 2


class HeaderBytes(NamedTuple):
    """``meta`` is the file meta group, explicit VR little endian, without the letters DICM.

    ``body`` is the dataset in the encoding it was written in (inflated where it was deflated), with some top-level
    values left out: ``cuts`` are pairs of the position in ``body`` where the header of such an element begins, and
    the number of bytes that followed that header in the file, delimiters included. The next element stands right
    behind the header. ``explicit`` and ``little`` say how ``body`` is encoded, whatever the transfer syntax claims.
    ``ends`` are pairs of where a long value of undefined length begins in ``body``, and where its delimiter stands.
    """

    meta: bytes
    body: bytes
    cuts: tuple[tuple[int, int], ...]
    explicit: bool
    little: bool
    ends: tuple[tuple[int, int], ...] = ()

    @property
    def encoding(self) -> Encoding:
        return choose_encoding(self.explicit, self.little)

    @property
    def lacks_sequences(self) -> bool:
        """Whether a sequence was left out, so that only the file has what is in it."""
        if not self.cuts:
            return False
        places = [place for place, _ in self.cuts if self.body[place : place + 4] not in _PIXEL_DATA]
        if not places:
            return False
        data_set = self.data_set()
        elements = (data_set.read_element(place, len(self.body), self.encoding) for place in places)
        return any(resolve_vr(element.tag, element.vr, 0) == "SQ" for element in elements)

    def data_set(self) -> DataSet:
        return DataSet(self.body, self.encoding, self.cuts, self.ends)

    def meta_elements(self) -> DataSet:
        return DataSet(self.meta, EXPLICIT_LE)

    def to_bytes(self) -> bytes:
        flags = _EXPLICIT * self.explicit | _LITTLE * self.little
        head = _HEAD.pack(_VERSION, flags, len(self.cuts), len(self.meta)) + _ENDS.pack(len(self.ends))
        tables = (*(_CUT.pack(*cut) for cut in self.cuts), *(_END.pack(*end) for end in self.ends))
        return b"".join((head, *tables, self.meta, self.body))

    @classmethod
    def from_bytes(cls, data: bytes) -> HeaderBytes:
        """What ``to_bytes`` wrote, in this version or an older one. Raises DataLoss for anything else."""
        try:
            return cls._parse(data)
        except StructError:
            raise DataLoss("the header in the index is damaged: it is cut off") from None

    @classmethod
    def _parse(cls, data: bytes) -> HeaderBytes:
        version, flags, cuts, meta = _HEAD.unpack_from(data)
        if not 0 < version <= _VERSION:
            raise DataLoss(f"the header in the index has version {version}, which this Gantry does not know")
        start, ends = _HEAD.size, 0
        if version > 1:
            (ends,) = _ENDS.unpack_from(data, start)
            start += _ENDS.size
        at_ends = start + cuts * _CUT.size
        at_meta = at_ends + ends * _END.size
        body = at_meta + meta
        if body > len(data):
            raise DataLoss("the header in the index is damaged: it is cut off")
        return cls(
            data[at_meta:body],
            data[body:],
            tuple(_CUT.iter_unpack(data[start:at_ends])),
            bool(flags & _EXPLICIT),
            bool(flags & _LITTLE),
            tuple(_END.iter_unpack(data[at_ends:at_meta])),
        )


def read_uids(header: HeaderBytes) -> Uids:
    """Study, Series and SOP Instance UID, the first occurrence of each; "" where one is absent. Raises InvalidArgument
    for what is no data set."""
    found: dict[int, str] = {}
    data_set = header.data_set()
    for element in data_set.elements((STUDY, SERIES, SOP_INSTANCE)):
        value = bytes(data_set.data[element.value : element.stop])
        found.setdefault(element.tag, value.decode("ascii", "replace").strip("\0 "))
    return found.get(STUDY, ""), found.get(SERIES, ""), found.get(SOP_INSTANCE, "")
