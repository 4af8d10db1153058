"""QIDO-RS (PS3.18 §10.6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain

from gantry.api.accept import Offer, media_type_text
from gantry.api.call import Call
from gantry.api.lanes import Lane
from gantry.api.multipart import Delimiters
from gantry.api.parameters import Pair
from gantry.api.web import Answer, Later, WebHandler
from gantry.errors import InvalidArgument
from gantry.json_text import parse_with_digits
from gantry.names import url_path
from gantry.queries import Level
from gantry.studies.metadata import find_path, write_document
from gantry.studies.search import Search, list_parameters, parse_search
from gantry.studies.search_answers import find

DICOM_JSON, DICOM_XML = "application/dicom+json", "application/dicom+xml"
OBJECTS = (Offer(DICOM_JSON, False, (), ""), Offer("application/json", False, (), ""), Offer(DICOM_XML, True, (), ""))
_JOIN = 64 << 10
_MORE = "There are additional results that can be requested"  # PS3.18 §8.3.4.4
_NOT_THERE = {
    "emptyvaluematching": "Empty Value Matching has not been performed",
    "multiplevaluematching": "Multiple Value Matching has not been performed",
}
"""Parameters that a server may have (PS3.18 §8.3.4.5, §8.3.4.6), and what it says if it does not have them."""


def _search(level: Level) -> WebHandler:
    def handle(call: Call) -> Answer | Later:
        offer, _ = call.negotiate(OBJECTS)
        is_strict = call.context.strict_search
        parameters, warnings = (call.parameters, []) if is_strict else _take_not_there(call.parameters)
        search = parse_search(level, call.path, parameters, is_strict)
        if search.inside:  # it may read the headers of a whole study before it finds anything
            return Later(Lane.LONG, lambda: _find(call, search, offer, warnings))
        return _find(call, search, offer, warnings)

    return WebHandler(handle, Lane.SEARCH, OBJECTS, partial(list_parameters, level))


def _take_not_there(parameters: Sequence[Pair]) -> tuple[list[Pair], list[str]]:
    """The parameters without those of ``_NOT_THERE``, and the warnings that these get. Raises InvalidArgument."""
    rest, asked = [], set()
    for name, value in parameters:
        if name not in _NOT_THERE:
            rest.append((name, value))
        elif value.lower() not in ("true", "false"):
            raise InvalidArgument(f"{name}: {value[:100]!r} is neither true nor false")
        elif value.lower() == "true":
            asked.add(name)
    return rest, [f"The {name} parameter is not supported. {_NOT_THERE[name]}." for name in sorted(asked)]


def _find(call: Call, search: Search, offer: Offer, warnings: Sequence[str]) -> Answer:
    found = find(call.context.seams, call.dicom_store, search, call.web_url, keeps_digits=offer.multipart)
    first = next(found.objects, None)
    answer = objects_answer(offer, chain((first,), found.objects)) if first is not None else Answer(b"", status=204)
    more = [_MORE] if first is not None and found.has_more and not search.strict else []
    if texts := [*warnings, *more]:
        answer.headers["warning"] = ", ".join(f'299 gantry "{text}"' for text in texts)
    return answer


search_studies, search_series, search_instances = map(_search, Level)


def objects_answer(offer: Offer, objects: Iterator[str]) -> Answer:
    """DICOM JSON objects as one array, or as one XML document each."""
    if not offer.multipart:
        return Answer(json_array(objects), DICOM_JSON)
    return Answer(*xml_parts(offer, objects))


def xml_parts(offer: Offer, objects: Iterable[str], web_url: str = "") -> tuple[Iterator[bytes], str]:
    """DICOM JSON objects as one XML document each; and the media type of them all. With ``web_url`` they are the
    metadata of instances, whose addresses their parts have."""
    between = Delimiters()
    return _xml_parts(objects, between, web_url), media_type_text(offer, "", between.boundary)


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


def _xml_parts(objects: Iterable[str], between: Delimiters, web_url: str) -> Iterator[bytes]:
    for text in objects:
        attributes, headers = parse_with_digits(text), {"content-type": DICOM_XML}
        if web_url:
            headers["content-location"] = f"{web_url}/{url_path(find_path(attributes))}/metadata"
        yield between.head(headers) + write_document(attributes)
    yield between.end()
