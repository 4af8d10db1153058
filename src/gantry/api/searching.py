"""QIDO-RS (PS3.18 §10.6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain

from gantry.api.accept import Offer, media_type_text
from gantry.api.call import Call
from gantry.api.lanes import Lane
from gantry.api.multipart import Delimiters
from gantry.api.web import Answer, Later, WebHandler
from gantry.queries import Level
from gantry.studies.metadata import write_xml
from gantry.studies.search import Search, list_parameters, parse_search
from gantry.studies.search_answers import find

DICOM_JSON, DICOM_XML = "application/dicom+json", "application/dicom+xml"
OBJECTS = (Offer(DICOM_JSON, False, (), ""), Offer("application/json", False, (), ""), Offer(DICOM_XML, True, (), ""))
_JOIN = 64 << 10
_MORE = "There are additional results that can be requested"  # PS3.18 §8.3.4.4


def _search(level: Level) -> WebHandler:
    def handle(call: Call) -> Answer | Later:
        offer, _ = call.negotiate(OBJECTS)
        search = parse_search(level, call.path, call.parameters, call.context.strict_search)
        if search.inside:  # it may read the headers of a whole study before it finds anything
            return Later(Lane.LONG, lambda: _find(call, search, offer))
        return _find(call, search, offer)

    return WebHandler(handle, Lane.SEARCH, OBJECTS, partial(list_parameters, level))


def _find(call: Call, search: Search, offer: Offer) -> Answer:
    found = find(call.context.seams, call.dicom_store, search, call.web_url)
    first = next(found.objects, None)
    if first is None:
        return Answer(b"", status=204)
    answer = objects_answer(offer, chain((first,), found.objects))
    if found.has_more and not search.strict:
        answer.headers["warning"] = f'299 gantry "{_MORE}"'
    return answer


search_studies, search_series, search_instances = map(_search, Level)


def objects_answer(offer: Offer, objects: Iterator[str]) -> Answer:
    """DICOM JSON objects as one array, or as one XML document each."""
    if not offer.multipart:
        return Answer(json_array(objects), DICOM_JSON)
    return Answer(*xml_parts(offer, objects))


def xml_parts(offer: Offer, objects: Iterable[str]) -> tuple[Iterator[bytes], str]:
    """DICOM JSON objects as one XML document each; and the media type of them all."""
    between = Delimiters()
    return _xml_parts(objects, between), media_type_text(offer, "", between.boundary)


def json_array(objects: Iterable[str]) -> Iterator[bytes]:
    """A JSON array in pieces of about 64 kB: one write per object would be slow."""
    held, size, separator = ["["], 1, ""
    for text in objects:
        held.append(separator + text)
        size += len(text)
        separator = ","
        if size > _JOIN:
            yield "".join(held).encode("utf-8", "replace")
            held, size = [], 0
    held.append("]")
    yield "".join(held).encode("utf-8", "replace")


def _xml_parts(objects: Iterable[str], between: Delimiters) -> Iterator[bytes]:
    for text in objects:
        yield between.head({"content-type": DICOM_XML}) + write_xml(text)
    yield between.end()
