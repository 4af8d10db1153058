"""Capabilities of a DICOM store (PS3.18 §8.9, §H): what the method table holds, as WADL or JSON.

Nothing is listed by hand: resources and methods come from the table, media types and parameters from its handlers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from xml.sax.saxutils import quoteattr

from gantry.api.accept import Offer, media_type_text
from gantry.api.call import Call
from gantry.api.lanes import Lane
from gantry.api.messages import Json
from gantry.api.method import ApiMethod, list_allowed
from gantry.api.web import Answer, WebHandler

WADL, _JSON = "application/vnd.sun.wadl+xml", "application/json"
_OFFERS = (Offer(WADL, False), Offer(_JSON, False), Offer("application/dicom+json", False))
_OF_JSON: tuple[Offer, ...] = (Offer(_JSON, False),)
_NAMESPACE = "http://wadl.dev.java.net/2009/02"
_IDS = {"studies": "study", "series": "series", "instances": "instance", "frames": "frames", "bulkdata": "bulkdata"}
"""Segment of a path → name of the id behind it (PS3.18 §8.2, §10.4.1)."""


def make_handler(above: str, list_methods: Callable[[], Sequence[ApiMethod]]) -> WebHandler:
    """A handler that describes the methods whose paths begin with ``above``, which a store's address replaces."""

    def handle(call: Call) -> Answer:
        offer, _ = call.negotiate(_OFFERS)
        call.context.seams.index.resources.get_dicom_store(call.dicom_store)
        found = [row for row in list_methods() if call.version in row.versions and row.handler is not None]
        described = _describe(call.web_url, above, found)
        headers = {"allow": ", ".join(list_allowed([row.verb for row in found if row.path == above]))}
        if offer.type == WADL:
            return Answer("".join(_write_wadl(described)).encode(), WADL, headers=headers)
        return Answer(json.dumps(described, ensure_ascii=False).encode(), _JSON, headers=headers)

    return WebHandler(handle, Lane.READ, _OFFERS)


def _describe(base: str, above: str, methods: Sequence[ApiMethod]) -> Json:
    """``{base, resources: [{path, ids, methods: [{name, id, …}]}]}``; methods of one path are together.

    A path with a slash at its end is the same resource, whose methods are listed once.
    """
    resources: dict[str, Json] = {}
    for method in methods:
        if f"{method.path}/".startswith(above):
            path, ids = _name_ids(method.path.removeprefix(above.rstrip("/")).removeprefix("/"))
            resource = resources.setdefault(path, {"path": path, "ids": ids, "methods": []})
            if all(method.verb != other["name"] for other in resource["methods"]):
                resource["methods"].append(_describe_method(method))
    return {"base": f"{base}/", "resources": [resources[path] for path in sorted(resources)]}


def _name_ids(path: str) -> tuple[str, list[str]]:
    """``studies/*/metadata`` → ``studies/{study}/metadata`` and its ids."""
    parts, ids = path.split("/"), list[str]()
    for place, part in enumerate(parts):
        if part.startswith("*"):
            ids.append(_IDS[parts[place - 1]])
            parts[place] = f"{{{ids[-1]}}}" + part.lstrip("*")
    return "/".join(parts), ids


def _describe_method(method: ApiMethod) -> Json:
    described: Json = {"name": method.verb, "title": method.id.rpartition(".")[2]}
    handler = method.handler
    names: Sequence[str] = ()
    offers, reads = _OF_JSON, _OF_JSON if method.verb == "POST" else ()
    if isinstance(handler, WebHandler):
        names, reads, offers = handler.parameters(), handler.reads, handler.offers
    types = {"requests": _list_types(reads), "responses": _list_types(offers)}
    return described | {"parameters": list(names)} | types


def _list_types(offers: Sequence[Offer]) -> list[Json]:
    """Media types once each, with the transfer syntaxes that they can have."""
    types: dict[str, dict[str, None]] = {}
    for offer in offers:
        name = media_type_text(offer, "", "-").partition("; boundary=")[0]
        types.setdefault(name, {}).update(dict.fromkeys(offer.transfer_syntaxes))
    return [{"mediaType": name, "transferSyntaxes": list(syntaxes)} for name, syntaxes in types.items()]


def _write_wadl(described: Json) -> Iterator[str]:
    """A document of WADL (W3C submission of 2009-08-31)."""
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<application xmlns="{_NAMESPACE}">\n'
    yield f"<resources base={quoteattr(described['base'])}>\n"
    for resource in described["resources"]:
        yield f"<resource path={quoteattr(resource['path'])}>\n"
        for name in resource["ids"]:
            yield f'<param name={quoteattr(name)} style="template" required="true"/>\n'
        for method in resource["methods"]:
            yield from _write_method(method)
        yield "</resource>\n"
    yield "</resources>\n</application>\n"


def _write_method(method: Json) -> Iterator[str]:
    yield f"<method name={quoteattr(method['name'])}>\n<doc title={quoteattr(method['title'])}/>\n<request>\n"
    yield from _write_accept(method["responses"])
    for name in method["parameters"]:
        yield f'<param name={quoteattr(name)} style="query"/>\n'
    yield from _write_representations(method["requests"])
    yield "</request>\n<response>\n"
    yield from _write_representations(method["responses"])
    yield "</response>\n</method>\n"


def _write_accept(types: Sequence[Json]) -> Iterator[str]:
    """All that ``Accept`` can name, as PS3.18 §H has it; the first one is the default."""
    if types:
        yield f'<param name="Accept" style="header" default={quoteattr(types[0]["mediaType"])}>\n'
        for item in types:
            name = item["mediaType"]
            for value in (name, *(f"{name}; transfer-syntax={uid}" for uid in item["transferSyntaxes"])):
                yield f"<option value={quoteattr(value)}/>\n"
        yield "</param>\n"


def _write_representations(types: Sequence[Json]) -> Iterator[str]:
    return (f"<representation mediaType={quoteattr(item['mediaType'])}/>\n" for item in types)
