"""Studies as people search for them: names as they are shown, the beginning of an ID, dates in the usual forms.

What is typed becomes conditions of the index: every one of them is looked up, none reads all studies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gantry.console.formats import number
from gantry.console.page_call import PageCall
from gantry.console.refusals import Refused
from gantry.console.rows import Row
from gantry.console.typed_dates import Days, is_month_first, parse_days
from gantry.dicom.tags import STUDY_DESCRIPTION
from gantry.errors import InvalidArgument
from gantry.json_text import parse_json
from gantry.languages import N_, _
from gantry.matching import pattern_key, split_words
from gantry.names import ResourcePath
from gantry.queries import Level, Match, Operator, Query, StudyTotals
from gantry.studies.search import Search
from gantry.studies.search_answers import find

PARAMETERS = {
    "PatientName": N_("Patient name"),
    "PatientID": N_("Patient ID"),
    "AccessionNumber": N_("Accession number"),
    "StudyDate": N_("Study date"),
    "ModalitiesInStudy": N_("Modality"),
    "StudyDescription": N_("Description"),
    "StudyInstanceUID": N_("Study UID"),
}
MAX_COUNTED = 10_000
"""Studies that are counted at most, so that the number beside a search costs no more than a page."""
_PIECE = 500  # UIDs of one search
_MAX_TEXT, _MAX_WORDS = 1024, 20
_TRIGRAM = 3  # characters from which the index finds a part of a word; of shorter words the beginning
_ROOT = ResourcePath("")


def name_parameters() -> dict[str, str]:
    """The fields of a search with their names, in the reader's language."""
    return {name: _(label) for name, label in PARAMETERS.items()}


class Understood(NamedTuple):
    """What a field of a search was taken for, where that is not what was typed."""

    label: str
    days: Days


@dataclass(frozen=True, slots=True)
class Wanted:
    """``words`` are keys of what was looked for in names."""

    matches: tuple[Match, ...] = ()
    understood: tuple[Understood, ...] = ()
    words: tuple[str, ...] = ()


def read_search(call: PageCall, typed: Mapping[str, str]) -> Wanted:
    """Raises InvalidArgument, which names the field."""
    reader = _Reader(is_month_first(call.request.headers.get("accept-language", "")), lambda: _find_today(call))
    matches: list[Match] = []
    for name, label in PARAMETERS.items():
        if text := typed.get(name, "").strip():
            try:
                matches += reader.read(name, text)
            except InvalidArgument as error:
                raise error.within(_(label)) from None
    return Wanted(tuple(matches), tuple(reader.understood), tuple(reader.words))


def _find_today(call: PageCall) -> date:
    """The day that it is in the dataset's time zone."""
    zone = call.context.seams.index.resources.get_dataset(call.dataset).time_zone
    return datetime.now(ZoneInfo(zone) if zone else UTC).date()


class _Reader:
    """Reads the fields of one search."""

    def __init__(self, month_first: bool, find_today: Callable[[], date]) -> None:
        self.understood: list[Understood] = []
        self.words: list[str] = []
        self._month_first, self._find_today = month_first, find_today

    def read(self, name: str, text: str) -> Iterator[Match]:
        if "\0" in text or len(text) > _MAX_TEXT:
            text = _("is longer than {count} characters, or holds a NUL character")
            raise Refused(text.format(count=number(_MAX_TEXT)))
        if name == "PatientName":
            yield from self._read_name(text)
        elif name == "StudyDate":
            yield self._read_date(text)
        else:
            yield from _READERS[name](text)

    def _read_name(self, text: str) -> Iterator[Match]:
        """Every word must be in the name, in whatever component group and order. A pattern is taken as it stands."""
        if {"*", "?"} & set(text):
            yield _match("patient_name", Operator.WILDCARD, pattern_key(re.sub(r"\s*,\s*", "^", text)))
            return
        words = split_words(text.replace("·", " "))
        if len(words) > _MAX_WORDS:
            raise Refused(_("has more than {count} words").format(count=_MAX_WORDS))
        self.words += words
        for word in words:
            if len(word) < _TRIGRAM:
                yield _match("patient_name", Operator.WORDS, word)
            else:
                yield _match("patient_name", Operator.WILDCARD, f"*{word}*")

    def _read_date(self, text: str) -> Match:
        days = parse_days(text, self._find_today(), self._month_first)
        self.understood.append(Understood(_(PARAMETERS["StudyDate"]), days))
        return _match("study_date", Operator.RANGE, *(f"{day:%Y%m%d}" if day else "" for day in days[:2]))


def _match(field: str, operator: Operator, *values: str) -> Match:
    return Match(Level.STUDY, field, operator, values)


def _read_id(field: str) -> Callable[[str], Iterator[Match]]:
    """What begins with the text, or is the text in quotation marks; IDs are kept as they are written, mostly in capital
    letters."""

    def read(text: str) -> Iterator[Match]:
        if len(text) > 2 and text[0] == text[-1] == '"':
            yield _match(field, Operator.EQUALS, text[1:-1])
            return
        start = text.removesuffix("*")
        if {"*", "?"} & set(start) or not start:
            yield _match(field, Operator.WILDCARD, pattern_key(text))
        else:
            yield _match(field, Operator.PREFIX, *dict.fromkeys((start, start.upper(), start.lower())))

    return read


def _read_modality(text: str) -> Iterator[Match]:
    values = [value.upper() for value in re.split(r"[,\\\s]+", text) if value]
    kind = Operator.WILDCARD if {"*", "?"} & set(text) else Operator.EQUALS
    if len(values) > _MAX_WORDS:
        raise Refused(_("has more than {count} values").format(count=_MAX_WORDS))
    if values:
        yield _match("modalities_in_study", kind, *(map(pattern_key, values) if kind is Operator.WILDCARD else values))


def _read_description(text: str) -> Iterator[Match]:
    yield _match("study_description", Operator.WILDCARD, pattern_key(text if {"*", "?"} & set(text) else f"*{text}*"))


def _read_uids(text: str) -> Iterator[Match]:
    values = [value for value in re.split(r"[,\\\s]+", text) if value]
    if len(values) > _PIECE:
        raise Refused(_("has more than {count} UIDs").format(count=_PIECE))
    yield _match("study_instance_uid", Operator.EQUALS, *values)


_READERS: dict[str, Callable[[str], Iterator[Match]]] = {
    "PatientID": _read_id("patient_id"),
    "AccessionNumber": _read_id("accession_number"),
    "ModalitiesInStudy": _read_modality,
    "StudyDescription": _read_description,
    "StudyInstanceUID": _read_uids,
}


def find_studies(call: PageCall, typed: Mapping[str, str], limit: int, offset: int = 0) -> list[Row]:
    """Latest study date first. Raises InvalidArgument, PermissionDenied, NotFound."""
    return list_found(call, read_search(call, typed), limit, offset)


def list_found(call: PageCall, wanted: Wanted, limit: int, offset: int = 0) -> list[Row]:
    search = Search(Query(Level.STUDY, _ROOT, wanted.matches, limit, offset), frozenset((STUDY_DESCRIPTION,)))
    with call.api.begin("GET", f"{call.store}/dicomWeb/studies"):
        return [Row(parse_json(text.encode())) for text in find(call.context.seams, call.store, search, "").objects]


def count_found(call: PageCall, wanted: Wanted) -> StudyTotals:
    """Of up to one more than MAX_COUNTED studies."""
    with call.api.begin("GET", f"{call.store}/dicomWeb/studies"):
        return _count(call, Query(Level.STUDY, _ROOT, wanted.matches, MAX_COUNTED + 1))


def count_picked(call: PageCall, uids: Sequence[str]) -> StudyTotals:
    """Of those that the store has."""
    unique = list(dict.fromkeys(uids))
    totals = StudyTotals(0, 0, 0)
    with call.api.begin("GET", f"{call.store}/dicomWeb/studies"):
        for at in range(0, len(unique), _PIECE):
            match = _match("study_instance_uid", Operator.EQUALS, *unique[at : at + _PIECE])
            found = _count(call, Query(Level.STUDY, _ROOT, (match,), _PIECE))
            totals = StudyTotals(*map(sum, zip(totals, found, strict=True)))
    return totals


def _count(call: PageCall, query: Query) -> StudyTotals:
    return call.context.seams.index.search.count_studies(call.store, query)
