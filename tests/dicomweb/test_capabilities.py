"""Capabilities (PS3.18 §8.9, §H): what a store says of itself, and that it is true."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from lxml import etree

from gantry.api.method import ApiMethod
from gantry.api.methods import METHODS, OWN
from gantry.api.web import WebHandler
from tests.dicomweb.instances import instance
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.web import Web, uid_path

A = ("1.2.1", "1.2.1.1", "1.2.1.1.1")
WADL = "application/vnd.sun.wadl+xml"
NS = "{http://wadl.dev.java.net/2009/02}"
SCHEMA = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="http://wadl.dev.java.net/2009/02"
  targetNamespace="http://wadl.dev.java.net/2009/02" elementFormDefault="qualified">
 <xs:element name="application"><xs:complexType><xs:sequence><xs:element ref="resources"/>
 </xs:sequence></xs:complexType></xs:element>
 <xs:element name="resources"><xs:complexType><xs:sequence><xs:element ref="resource" maxOccurs="unbounded"/>
  </xs:sequence><xs:attribute name="base" type="xs:anyURI" use="required"/></xs:complexType></xs:element>
 <xs:element name="resource"><xs:complexType><xs:sequence>
  <xs:element ref="param" minOccurs="0" maxOccurs="unbounded"/><xs:element ref="method" maxOccurs="unbounded"/>
  </xs:sequence><xs:attribute name="path" type="xs:string" use="required"/></xs:complexType></xs:element>
 <xs:element name="method"><xs:complexType><xs:sequence><xs:element ref="doc" minOccurs="0"/>
  <xs:element ref="request" minOccurs="0"/><xs:element ref="response" minOccurs="0" maxOccurs="unbounded"/>
  </xs:sequence><xs:attribute name="name" use="required"><xs:simpleType><xs:restriction base="xs:string">
  <xs:pattern value="GET|POST|PUT|PATCH|DELETE|OPTIONS"/></xs:restriction></xs:simpleType></xs:attribute>
  </xs:complexType></xs:element>
 <xs:element name="doc"><xs:complexType><xs:attribute name="title" type="xs:string"/></xs:complexType></xs:element>
 <xs:element name="request"><xs:complexType><xs:sequence>
  <xs:element ref="param" minOccurs="0" maxOccurs="unbounded"/>
  <xs:element ref="representation" minOccurs="0" maxOccurs="unbounded"/></xs:sequence></xs:complexType></xs:element>
 <xs:element name="response"><xs:complexType><xs:sequence>
  <xs:element ref="representation" minOccurs="0" maxOccurs="unbounded"/></xs:sequence></xs:complexType></xs:element>
 <xs:element name="representation"><xs:complexType>
  <xs:attribute name="mediaType" type="xs:string"/></xs:complexType></xs:element>
 <xs:element name="param"><xs:complexType><xs:sequence>
  <xs:element name="option" minOccurs="0" maxOccurs="unbounded"><xs:complexType>
  <xs:attribute name="value" type="xs:string" use="required"/></xs:complexType></xs:element></xs:sequence>
  <xs:attribute name="name" type="xs:NMTOKEN" use="required"/><xs:attribute name="required" type="xs:boolean"/>
  <xs:attribute name="default" type="xs:string"/>
  <xs:attribute name="style" use="required"><xs:simpleType><xs:restriction base="xs:string">
  <xs:enumeration value="template"/><xs:enumeration value="query"/><xs:enumeration value="header"/>
  </xs:restriction></xs:simpleType></xs:attribute></xs:complexType></xs:element>
</xs:schema>"""
"""The part of the schema of WADL (W3C submission of 2009-08-31) that is used."""


@pytest.fixture
def web(gantry: Gantry) -> Web:
    return Web(gantry)


def ask(web: Web, accept: str = "", place: str = "", **headers: str) -> httpx.Response:
    given = {"accept": accept} if accept else {}
    return web.gantry.request("OPTIONS", f"{web.root}{place}", headers=given | headers)


def described(web: Web) -> dict[str, Any]:
    """Path → resource."""
    answer = ask(web, "application/json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["base"] == f"{web.url}/"
    return {resource["path"]: resource for resource in answer.json()["resources"]}


@pytest.mark.parametrize("place", ["", "/"])
@pytest.mark.parametrize("accept", ["", "*/*", WADL, "application/*", f"text/html, {WADL};q=0.1"])
def test_a_valid_wadl_document(web: Web, place: str, accept: str) -> None:
    answer = ask(web, accept, place)
    assert (answer.status_code, answer.headers["content-type"]) == (200, WADL)
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    document = etree.fromstring(answer.content)
    etree.XMLSchema(etree.fromstring(SCHEMA)).assertValid(document)
    assert document.find(f"{NS}resources").get("base") == f"{web.url}/"


@pytest.mark.parametrize("accept", ["application/json", "application/dicom+json", f"application/json, {WADL};q=0.9"])
def test_json(web: Web, accept: str) -> None:
    assert ask(web, accept).headers["content-type"] == "application/json"


def test_other_media_types_are_406(web: Web) -> None:
    refused(ask(web, "text/html"), "INVALID_ARGUMENT", WADL, "application/json", http=406)


def test_both_forms_say_the_same(web: Web) -> None:
    document = etree.fromstring(ask(web).content)
    found = described(web)
    assert {resource.get("path") for resource in document.iter(f"{NS}resource")} == found.keys()
    for resource in document.iter(f"{NS}resource"):
        other = found[resource.get("path")]
        assert [item.get("name") for item in resource.findall(f"{NS}param")] == other["ids"]
        for element, method in zip(resource.iter(f"{NS}method"), other["methods"], strict=True):
            assert element.get("name") == method["name"]
            params = element.findall(f"{NS}request/{NS}param")
            assert [item.get("name") for item in params if item.get("style") == "query"] == method["parameters"]
            (accept,) = (item for item in params if item.get("style") == "header")
            values = [option.get("value") for option in accept]
            assert values[0] == accept.get("default") == method["responses"][0]["mediaType"]
            assert len(values) == sum(1 + len(item["transferSyntaxes"]) for item in method["responses"])
            types = [item.get("mediaType") for item in element.findall(f"{NS}response/{NS}representation")]
            assert types == [item["mediaType"] for item in method["responses"]]


def below(version: str) -> list[ApiMethod]:
    rows = METHODS + OWN
    return [row for row in rows if "/dicomWeb" in row.path and version in row.versions and row.handler]


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_every_method_of_the_version_is_there_and_no_other(gantry: Gantry, version: str) -> None:
    found = described(Web(gantry, version))
    listed = sorted((method["name"], method["title"]) for resource in found.values() for method in resource["methods"])
    rows = {(row.verb, row.path.rstrip("/")): row.id.rpartition(".")[2] for row in below(version)}
    assert listed == sorted((verb, name) for (verb, _), name in rows.items())
    assert ("PUT", "updateInstances") in listed or version == "v1"


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_no_resource_has_a_method_twice(gantry: Gantry, version: str) -> None:
    """The address of the store has two spellings, with a slash at its end and without."""
    web = Web(gantry, version)
    found = {path: [item["name"] for item in resource["methods"]] for path, resource in described(web).items()}
    assert sorted(found[""]) == ["GET", "OPTIONS"]
    assert all(len(names) == len(set(names)) for names in found.values())
    for resource in etree.fromstring(ask(web).content).iter(f"{NS}resource"):
        assert [item.get("name") for item in resource.iter(f"{NS}method")] == found[resource.get("path")]


@pytest.mark.parametrize("row", below("v1beta1"), ids=lambda row: f"{row.verb} {row.path.partition('dicomWeb')[2]}")
def test_every_handler_says_what_it_answers_with(row: ApiMethod) -> None:
    if isinstance(row.handler, WebHandler):
        assert row.handler.offers, "give the WebHandler its offers: the capabilities list them"
        assert row.handler.reads or row.verb not in ("POST", "PUT", "PATCH")


def test_parameters_are_those_that_are_read(web: Web) -> None:
    found = described(web)
    (search,) = (method for method in found["studies"]["methods"] if method["name"] == "GET")
    assert {"limit", "offset", "includefield", "fuzzymatching", "PatientName"} <= set(search["parameters"])
    assert "SeriesInstanceUID" not in search["parameters"]
    for path in ("studies", "series", "instances"):
        (search,) = (method for method in found[path]["methods"] if method["name"] == "GET")
        for name in search["parameters"]:
            given = {"limit": "1", "offset": "0", "fuzzymatching": "false", "includefield": "all"}.get(name, "1")
            answer = web.get(path, params={name: given})
            assert answer.status_code in (200, 204) or "unknown" not in answer.text, (path, name, answer.text)


@pytest.mark.slow
def test_media_types_are_those_that_are_sent(web: Web) -> None:
    """Each is known to the negotiation: it is sent, or the answer says why this instance has no such form."""
    web.stored(instance(A))
    ids = dict(zip(("{study}", "{series}", "{instance}"), A, strict=True)) | {"{frames}": "1", "{bulkdata}": "7FE00010"}
    sent = 0
    for path, resource in described(web).items():
        for name, value in ids.items():
            path = path.replace(name, value)
        for method in resource["methods"]:
            for item in method["responses"] if method["name"] == "GET" and "wado" not in path and path else ():
                answer = web.get(path, item["mediaType"])
                if answer.status_code in (200, 204):
                    sent += 1
                    kind = answer.headers.get("content-type", "").partition(";")[0]
                    assert not kind or kind.startswith(("multipart", "application", "image")), answer.headers
                else:
                    assert answer.status_code in (400, 406), (path, item, answer.text)
    assert sent > 40


def test_what_is_sent_without_accept_is_listed(web: Web) -> None:
    web.stored(instance(A))
    found = described(web)
    one = "studies/{study}/series/{series}/instances/{instance}"
    for path, sent in (
        (uid_path(*A), one),
        (f"{uid_path(*A)}/rendered", f"{one}/rendered"),
        (f"{uid_path(*A)}/metadata", f"{one}/metadata"),
        (f"{uid_path(*A)}/frames/1", f"{one}/frames/{{frames}}"),
        (f"{uid_path(*A)}/thumbnail", f"{one}/thumbnail"),
        (uid_path(A[0]), "studies/{study}"),
    ):
        (method,) = (method for method in found[sent]["methods"] if method["name"] == "GET")
        kinds = {item["mediaType"].replace('"', "") for item in method["responses"]}
        answer = web.get(path).headers["content-type"].replace('"', "")
        assert any(answer.startswith(kind) for kind in kinds), (answer, kinds)


def test_a_store_that_is_not_there(web: Web) -> None:
    answer = web.gantry.request("OPTIONS", web.root.replace("/store/", "/other/"))
    refused(answer, "NOT_FOUND", "other")


@pytest.mark.parametrize("path", ["/studies", f"/{uid_path(*A)}/metadata"])
def test_other_resources_answer_with_allow_as_before(web: Web, path: str) -> None:
    answer = ask(web, place=path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "GET" in answer.headers["allow"]


def test_names_in_addresses_are_escaped(gantry: Gantry) -> None:
    """A name of a dataset may have any letters, and addresses in XML are attributes."""
    gantry.call("POST", f"v1/{gantry.location}/datasets", params={"datasetId": "größe-ß"})
    name = f"{gantry.location}/datasets/größe-ß"
    gantry.call("POST", f"v1/{name}/dicomStores", params={"dicomStoreId": "a"})
    answer = gantry.request("OPTIONS", f"v1/{name}/dicomStores/a/dicomWeb")
    base = etree.fromstring(answer.content).find(f"{NS}resources").get("base")
    assert base.isascii() and base.endswith("/dicomStores/a/dicomWeb/")
