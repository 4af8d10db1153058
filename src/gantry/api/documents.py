"""Rendered documents (PS3.18 §8.7.4): structured reports as pages or text, encapsulated documents as what they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gantry.api.accept import Offer
from gantry.api.attachments import attachment_header
from gantry.api.call import Call
from gantry.api.retrieving import answer_value
from gantry.api.web import Answer
from gantry.resources import StoredInstance
from gantry.studies.documents import TYPES, Document, is_document, open_document, read_document
from gantry.studies.metadata import make_etag
from gantry.studies.reports import HTML, TEXT, is_report, write_report
from gantry.studies.retrieve import Value

REPORTS = (Offer(HTML, False, (), ""), Offer(TEXT, False, (), ""))
DOCUMENTS = tuple(Offer(name, False, (), "") for kind in TYPES for name in kind.names)


def find_renderer(call: Call, row: StoredInstance) -> Callable[[], Answer] | None:
    """What answers with the rendered form of a report or document; None for other instances, and in strict mode."""
    if call.context.strict_search:
        return None
    if is_report(row):
        return partial(_answer_report, call, row)
    return partial(_answer_document, call, row) if is_document(row) else None


def list_offers(call: Call, row: StoredInstance) -> tuple[Offer, ...]:
    """The rendered media types of a report or document, the default first. Raises NotAcceptable as `read_document`."""
    return REPORTS if is_report(row) else _offers_of(read_document(call.context.seams, call.dicom_store, row))


def _offers_of(document: Document) -> tuple[Offer, ...]:
    return tuple(Offer(name, False, (), "") for name in document.type.names)


def _answer_report(call: Call, row: StoredInstance) -> Answer:
    offer, _ = call.negotiate(REPORTS)

    def make() -> Value:
        return Value.of(write_report(call.context.seams, call.dicom_store, row, offer.type, call.web_url))

    etag = make_etag(row, "report", offer.type, call.web_url)
    answer = answer_value(call, make, f"{offer.type}; charset=utf-8", etag)
    # Shown by a browser, and not saved: the policy of all answers lets it run nothing.
    answer.headers["content-disposition"] = "inline"
    return answer


def _answer_document(call: Call, row: StoredInstance) -> Answer:
    seams, store = call.context.seams, call.dicom_store
    document = read_document(seams, store, row)
    offer, _ = call.negotiate(_offers_of(document))
    make = partial(open_document, seams, store, row, document)
    answer = answer_value(call, make, offer.type, make_etag(row, "document", offer.type))
    name = f"{row.sop_instance_uid}.{document.type.extension}"
    answer.headers["content-disposition"] = attachment_header(name)
    return answer
