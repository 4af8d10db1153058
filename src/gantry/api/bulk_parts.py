"""All bulk data of a study, a series or an instance, in parts of one answer (PS3.18 §10.4.1.1.5, §10.4.3.3.5)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial

from gantry.api.accept import Offer
from gantry.api.call import Call
from gantry.api.level_parts import answer_parts
from gantry.api.retrieving import read_pieces
from gantry.api.web import Answer, WebHandler
from gantry.dicom import forms
from gantry.errors import StatusError
from gantry.resources import StoredInstance
from gantry.studies.bulk_values import Values, list_bulk
from gantry.studies.parts import Job, Part
from gantry.studies.retrieve import ANY

_OFFER = Offer(forms.OCTETS, True, (ANY, forms.EXPLICIT_LE), ANY)


@partial(WebHandler, offers=(_OFFER,))
def retrieve_bulk_below(call: Call) -> Answer:
    """Every value that the metadata has an address of; each part has that address."""
    call.negotiate((_OFFER,))
    return answer_parts(call, "bulk data", partial(_plan, call), "bulkdata")


def _plan(call: Call, rows: Iterator[StoredInstance]) -> Iterator[Job]:
    for row, read in list_bulk(call.context.seams, call.dicom_store, rows, call.web_url):
        yield Job(row, partial(_make_parts, read))


def _make_parts(read: Callable[[], Values]) -> Generator[Part | StatusError, None, None]:
    with closing(read()) as values:
        for found in values:
            if isinstance(found, StatusError):
                yield found
            else:
                headers = {"content-type": _OFFER.type, "content-location": found.address}
                yield Part(headers, read_pieces(found.value, 0, found.value.size))
