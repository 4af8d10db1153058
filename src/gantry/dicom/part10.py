"""Identify a DICOM Part 10 instance from a few short reads, and prove that its structure reaches its end.

This is the hot path of an import and it reads untrusted bytes. Values are jumped over, never loaded; sequences and
items of defined length are passed in one step; only where a length is undefined does the walk go inside, with a
stack of its own. What is held is one window of at most ``MAX_WINDOW`` bytes, whatever lengths the file declares.

Tolerances, because writers do this and other toolkits read it:

* The group length of the file meta group may be missing or wrong: the group ends where group 0002 ends.
* The dataset's UIDs identify the instance; the copies in the meta group may disagree or be absent.
* An unknown transfer syntax is read as Explicit VR Little Endian, as all encapsulated ones are (PS3.5 §A.4).
* A dataset whose first element contradicts the declared transfer syntax (implicit for explicit VR, or the reverse)
  is read as it is encoded. The transfer syntax is reported as declared.
* In explicit VR, an element without a value representation is read in implicit form, and all of its items with it:
  some writers copy private sequences unchanged. One of two blanks, hyphens or question marks has a 16-bit length.
* An unknown VR has a 16-bit length, unless that would be zero and no element followed: then the 32-bit form of
  PS3.5 §7.1.2, which newer VRs have.
* Delimitation items may carry a length, which is ignored. Elements may be in any order.
* A gzip trailer may follow a deflated dataset, if its checksum and length are those of the dataset.
* Zeros may follow the last element, up to ``MAX_PADDING`` bytes (storage in blocks, an odd-length fragment padded at
  the wrong place): no dataset holds group 0000. A single zero only after Pixel Data, as it could be the first byte of
  an element elsewhere. Dataset Trailing Padding (FFFC,FFFC) is an ordinary element (PS3.10 §7.2).

Not tolerated: a missing Sequence or Item Delimitation Item at the end, because a truncated upload looks the same.
A transfer syntax that is no UID is refused too: it ends up in HTTP headers. A file cut exactly between two top-level
elements after the UIDs cannot be told from a complete one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

from gantry.dicom.buffers import Readable
from gantry.dicom.deflated import Inflated
from gantry.dicom.elements import Encoding, choose_encoding, encoding_of
from gantry.dicom.faults import malformed
from gantry.dicom.foreign import describe_foreign
from gantry.dicom.forms import DEFLATED_LE
from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.tags import (
    INSTANCE_NUMBER,
    MEDIA_CLASS,
    NUMBER_OF_FRAMES,
    SERIES,
    SOP_CLASS,
    SOP_INSTANCE,
    STUDY,
    TRANSFER_SYNTAX,
)
from gantry.dicom.vr import LONG, SHORT
from gantry.dicom.walk import KNOWN_META, Cut, ReadAt, Walk, Watch, tag_name
from gantry.errors import InvalidArgument
from gantry.names import MAX_UID, is_other_uid
from gantry.reasons import Reason

MAX_META_ELEMENTS = 1000
MAX_HEADER = 1 << 20
MAX_LIVE_HEADER = 64 << 20
MAX_SEQUENCES = 16 << 20
"""Bytes of long sequences that are told apart when somebody asks for them: some 300 ms of one core."""

META_START = 132
"""Where the file meta group begins, behind the preamble and the letters DICM (PS3.10 §7.1)."""

_LONG_WALK, _MOST_ENDS = 1024, 1000
"""From how many bytes on, and for how many values, the header bytes say where a value of undefined length ends."""


DEFLATED_UIDS = frozenset((DEFLATED_LE, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"))
_DICOMDIR_CLASS = "1.2.840.10008.1.3.10"
_INTEGER = re.compile(rb"[+-]?[0-9]{1,12}")
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_NAMES = (STUDY, SERIES, SOP_INSTANCE)  # a store may accept other texts for them; see ``gantry.ingest``

_LETTERS = SHORT.keys() | LONG.keys()
_BARE_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the dataset lies, in bytes of the object, or of the inflated one where ``deflated``; see HeaderBytes."""

    meta_end: int
    start: int
    end: int
    cuts: tuple[Cut, ...]
    explicit: bool
    little: bool
    deflated: bool
    ends: tuple[tuple[int, int], ...] = ()

    def with_sequences(self, most: int) -> Layout:
        """That of header bytes which hold the long sequences too, as long as they have at most ``most`` bytes."""
        if sum(cut.length for cut in self.cuts if cut.is_sequence) > most:
            return self
        return replace(self, cuts=tuple(cut for cut in self.cuts if not cut.is_sequence))

    @property
    def encoding(self) -> Encoding:
        return choose_encoding(self.explicit, self.little)


_NOWHERE = Layout(0, 0, 0, (), True, True, False)


@dataclass(frozen=True, slots=True)
class InstanceIdentity:
    """What identifies an instance: the dataset's UIDs, and the transfer syntax of the file meta group.

    Two are equal when these are. ``numbers`` are InstanceNumber, NumberOfFrames, Rows, Columns and BitsAllocated by
    tag; what is no number is absent.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    numbers: dict[int, int] = field(default_factory=dict, compare=False)
    layout: Layout = field(default=_NOWHERE, compare=False)


def read_header(read_at: ReadAt, size: int) -> InstanceIdentity:
    """Identify a Part 10 instance (PS3.10 §7) and prove that its structure reaches the end of the object.

    Every refusal is an ``InvalidArgument`` that says what is wrong and where. Study, Series and SOP Instance UID and
    SOP Class UID are taken from the top level of the dataset, the first occurrence of each; a second one with another
    value is refused, as readers would disagree about what the instance is. Reads go forward only; where a request is
    dear and a file has thousands of fragments, let ``read_at`` read ahead.
    """
    return read_watched(read_at, size, None)[0]


def read_watched(read_at: ReadAt, size: int, watch: Watch | None) -> tuple[InstanceIdentity, dict[int, bytes] | None]:
    """``read_header``, and in the same pass the elements of a watch by tag, as ``Walk.watch`` has them; None where
    there is one of them that it does not keep, or where the data set is not little endian or deflated."""
    if size == 0:
        raise InvalidArgument("empty DICOM instance found: the object has no bytes", kind=Reason.EMPTY_FILE)
    walk = Walk(read_at, size, "the object")
    _require_part10(walk)
    transfer_syntax = _read_meta(walk)
    meta_end = start = walk.pos
    deflated = transfer_syntax in DEFLATED_UIDS
    if deflated:
        inflated = Inflated(read_at, walk.pos, size)
        walk, start = Walk(inflated.read_at, inflated.measure(), "the inflated dataset"), 0
    if watch is not None:
        walk.watch(watch)
    walk.dataset(encoding_of(transfer_syntax))
    encoding = walk.encoding
    identity = InstanceIdentity(
        study_instance_uid=_read_uid(walk.found, STUDY),
        series_instance_uid=_read_uid(walk.found, SERIES),
        sop_instance_uid=_read_uid(walk.found, SOP_INSTANCE),
        sop_class_uid=_read_uid(walk.found, SOP_CLASS),
        transfer_syntax_uid=transfer_syntax,
        numbers=_read_numbers(walk),
        layout=Layout(
            meta_end,
            start,
            walk.end,
            tuple(walk.cuts),
            encoding.explicit,
            encoding.order == "<",
            deflated,
            tuple(walk.ends),
        ),
    )
    is_whole = not (walk.is_partial or deflated) and encoding.order == "<"
    return identity, walk.watched if is_whole else None


def read_header_bytes(read_at: ReadAt, size: int, layout: Layout, most: int = MAX_HEADER) -> HeaderBytes | None:
    """The header of an instance that ``read_header`` has read; None where it is longer than ``most`` bytes."""
    held = layout.end - layout.start - sum(cut.length for cut in layout.cuts)
    if held + layout.meta_end > most:
        return None
    meta = read_at(META_START, layout.meta_end - META_START)
    read_body = Inflated(read_at, layout.meta_end, size).read_at if layout.deflated else read_at
    pieces, cuts, at, length = [], [], layout.start, 0
    for cut in layout.cuts:
        cuts.append((length + cut.start - at, cut.length))
        pieces.append(read_body(at, cut.start + cut.header - at))
        length += len(pieces[-1])
        at = cut.start + cut.header + cut.length
    if at < layout.end:
        pieces.append(read_body(at, layout.end - at))
    return HeaderBytes(meta, b"".join(pieces), tuple(cuts), layout.explicit, layout.little, _list_ends(layout))


def open_data_set(opened: Readable, layout: Layout) -> Readable:
    """What the places of a layout are places of: the object itself, or its dataset as it is inflated."""
    if not layout.deflated:
        return opened
    return Inflated(opened.read_at, layout.meta_end, opened.size, layout.end)


def _list_ends(layout: Layout) -> tuple[tuple[int, int], ...]:
    """Where values of undefined length begin and end once what is cut is gone. Short ones are walked soon enough."""
    if not layout.ends:
        return ()
    cuts = {cut.start + cut.header: cut.length for cut in layout.cuts}
    starts, found, gone = sorted(cuts, reverse=True), [], layout.start
    for start, end in layout.ends:
        while starts and starts[-1] < start:
            gone += cuts[starts.pop()]
        if start not in cuts and end - start > _LONG_WALK:
            found.append((start - gone, end - gone))
    return tuple(found[:_MOST_ENDS])


def _read_numbers(walk: Walk) -> dict[int, int]:
    """Words where two binary bytes stand, decimal text elsewhere (IS)."""
    order: Literal["little", "big"] = "big" if walk.encoding.order == ">" else "little"
    found = {}
    for tag, value in walk.kept.items():
        if tag in (INSTANCE_NUMBER, NUMBER_OF_FRAMES):
            text = value.strip(b"\0 ")
            if _INTEGER.fullmatch(text):
                found[tag] = int(text)
        elif len(value) == 2:
            found[tag] = int.from_bytes(value, order)
    return found


def _require_part10(walk: Walk) -> None:
    """PS3.10 §7.1: 128 bytes, "DICM", and a group 0002 in explicit VR. The letters may stand there by accident."""
    start = walk.window
    if start[128:132] != b"DICM":
        if message := describe_foreign(start, walk.size):
            raise InvalidArgument(message, kind=Reason.NOT_DICOM)
        bare = ", though a dataset seems to begin at once" if start[:2] in _BARE_GROUPS else ""
        raise InvalidArgument(
            f"not a DICOM file: the 128-byte preamble and the DICM prefix are missing{bare}", kind=Reason.NOT_DICOM
        )
    if start[132:134] != b"\x02\x00" or start[136:138] not in _LETTERS:
        raise InvalidArgument(
            "not a DICOM file: no file meta group (0002,xxxx) follows the letters DICM at byte 128",
            kind=Reason.NOT_DICOM,
        )
    walk.pos = META_START


def _read_meta(walk: Walk) -> str:
    """Walk group 0002, leave ``walk`` at the dataset, and give the transfer syntax."""
    for _ in range(MAX_META_ELEMENTS - walk.pass_known(KNOWN_META).elements):
        if walk.remaining() < 8:
            break
        tag, _vr, header, length = walk.peek()
        if tag >> 16 != 2:
            break
        if tag in (TRANSFER_SYNTAX, MEDIA_CLASS):
            walk.note(tag, header, length)
        walk.skip(tag, header, length)
    else:
        raise malformed(f"the file meta group has more than {MAX_META_ELEMENTS} elements")
    if walk.found.get(MEDIA_CLASS, b"").rstrip(b"\0 ") == _DICOMDIR_CLASS.encode():
        raise InvalidArgument(
            "this is a DICOMDIR (a media directory), which lists instances but is none itself", kind=Reason.DICOMDIR
        )
    return _read_uid(walk.found, TRANSFER_SYNTAX)


def _read_uid(found: dict[int, bytes], tag: int) -> str:
    """A UID as PS3.5 §9.1 has it, but for leading zeros in a component, which many identifiers in use contain."""
    where = "the file meta group" if tag == TRANSFER_SYNTAX else "the dataset"
    if tag not in found:
        raise InvalidArgument(f"{tag_name(tag)} is missing from {where}", kind=Reason.MISSING_UID)
    check = _check_uid if tag == SOP_INSTANCE else _check_shared_uid
    return check(found[tag], tag, where)


def _check_uid(value: bytes, tag: int, where: str) -> str:
    text = value.rstrip(b"\0 ").decode("latin-1")
    if not text:
        raise InvalidArgument(f"{tag_name(tag)} is empty in {where}", kind=Reason.MISSING_UID)
    is_other = tag in _NAMES and (len(text) > MAX_UID or is_other_uid(text))
    if not _UID.fullmatch(text) and not is_other:
        unsafe = ", and not safe in addresses and names of files" if tag in _NAMES else ""
        raise InvalidArgument(
            f"{tag_name(tag)} is not digits in components separated by periods{unsafe}: {text[:64]!r}",
            kind=Reason.INVALID_UID,
        )
    if len(text) > MAX_UID:
        raise InvalidArgument(
            f"{tag_name(tag)} has {len(text)} characters, more than the {MAX_UID} of a UID", kind=Reason.INVALID_UID
        )
    return text


_check_shared_uid = lru_cache(256)(_check_uid)
"""For UIDs that many instances have: they share one string, on their way out of a worker too."""
