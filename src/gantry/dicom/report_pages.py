"""A structured report as HTML and as text, for people. Every value is escaped, and a page runs nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from gantry.dicom.report_items import MAX_INDENTS, ContentItem, Reference
from gantry.dicom.reports import Report

HTML, TEXT = "text/html", "text/plain"
CUT = "A part of this report is not shown: it is too long, is nested too deep, or cannot be read."
_CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""What HTML cannot hold (WHATWG HTML §13.1.4); line feeds and tabs stay."""

_LINES = re.compile("\r\n?|[\v\f\x85\u2028\u2029]")
_RELATIONSHIPS = {
    "CONTAINS": "",
    "HAS OBS CONTEXT": "observation context",
    "HAS ACQ CONTEXT": "acquisition context",
    "HAS CONCEPT MOD": "modifier",
    "HAS PROPERTIES": "property",
    "INFERRED FROM": "inferred from",
    "SELECTED FROM": "selected from",
}
_KINDS = {"COMPOSITE": "object", "IMAGE": "image", "WAVEFORM": "waveform"}
_MAX_NAME = 200  # characters of the name of another item: the whole name stands there
_STYLE = """
body{font:16px/1.45 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#1b1b1b;background:#fff}
h1{font-size:1.6em;margin:0 0 .6em}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15em 1.2em;margin:0 0 1.5em;padding:.8em 1em;
background:#f3f5f7;border:1px solid #d5dbe1;border-radius:4px}
dt{color:#4a5560}dd{margin:0}
ul{list-style:none;margin:0;padding:0 0 0 1.2em;border-left:1px solid #d5dbe1}
main>ul{padding:0;border:0}
li{margin:.25em 0}
h2,h3,h4,h5,h6{display:inline;font-size:1.1em;font-weight:600;color:#26323c}
.name{color:#26323c}.relation{color:#5a6570;font-size:.85em}
bdi{white-space:pre-wrap;overflow-wrap:anywhere}
a{color:#0b57a4}
"""


def write_html(report: Report, web_url: str) -> bytes:
    """A page; references to images are links below ``web_url``, the address of ``dicomWeb``."""
    return "".join(_write_page(report, web_url)).encode("utf-8", "replace")


def _write_page(report: Report, web_url: str) -> Iterator[str]:
    title = _clean(report.title)
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{_bdi(report.title)}</h1>\n"
    if report.facts:
        rows = (f"<dt>{_clean(label)}</dt><dd>{_bdi(text)}</dd>\n" for label, text in report.facts)
        yield f"<dl>\n{''.join(rows)}</dl>\n"
    names = _list_names(report)
    depth = -1
    for item in report.items:
        if item.depth > depth:
            yield "<ul>\n"
        else:
            yield "</li>\n" + "</ul></li>\n" * (depth - item.depth)
        depth = item.depth
        yield _write_item(item, web_url, names)
    if depth >= 0:
        yield "</li>\n" + "</ul></li>\n" * depth + "</ul>\n"
    elif not report.is_cut:
        yield "<p>This report has no content.</p>\n"
    yield (f"<p><strong>{CUT}</strong></p>\n" if report.is_cut else "") + "</main>\n</body>\n</html>\n"


def _write_item(item: ContentItem, web_url: str, names: dict[str, str]) -> str:
    head = f'<li id="item-{item.number}">'
    if relation := _name_relationship(item):
        head += f'<span class="relation">{_clean(relation)}:</span> '
    if item.name and item.value_type == "CONTAINER":
        level = min(item.depth + 2, 6)
        head += f"<h{level}>{_bdi(item.name)}</h{level}> "
    elif item.name:
        head += f'<span class="name">{_bdi(item.name)}</span>: '
    texts = [_write_link(item, reference, web_url) for reference in item.references]
    texts += [_bdi(item.text)] if item.text else []
    if item.target:
        shown = _clean(_write_target(item, names))
        texts.append(f'<a href="#item-{item.target}">{shown}</a>' if item.target in names else shown)
    return (head + " ".join(texts)).rstrip(" ")


def _write_link(item: ContentItem, reference: Reference, web_url: str) -> str:
    kind = _KINDS.get(item.value_type, "object")
    if not reference.path or item.value_type != "IMAGE":
        return f"{kind} {_bdi(_describe(reference))}"
    place = f"{web_url}/{reference.path}"
    links = [(f"{place}/frames/{number}/rendered", f"frame {number}") for number in reference.frames]
    shown = (f'<a href="{escape(link)}">{text}</a>' for link, text in links or [(f"{place}/rendered", "show")])
    return f"{kind} {_bdi(reference.uid)} ({', '.join(shown)})"


def _describe(reference: Reference) -> str:
    frames = f", frames {', '.join(map(str, reference.frames))}" if reference.frames else ""
    return reference.uid + frames


def _list_names(report: Report) -> dict[str, str]:
    """The name of each item by its number, shortened: many items can lead to one."""
    return {item.number: _shorten(item.name) for item in report.items}


def _shorten(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}…"


def _write_target(item: ContentItem, names: dict[str, str]) -> str:
    return f"see item {item.target} {names.get(item.target, '')}".rstrip()


def _name_relationship(item: ContentItem) -> str:
    return _RELATIONSHIPS.get(item.relationship, item.relationship.lower())


def _clean(text: str) -> str:
    return escape(_CONTROL.sub("\ufffd", _LINES.sub("\n", text)))


def _bdi(text: str) -> str:
    """A value, whose direction of writing changes nothing around it (WHATWG HTML §4.5.24)."""
    return f"<bdi>{_clean(text)}</bdi>"


def write_text(report: Report) -> bytes:
    """Lines of text, with two blanks for each level."""
    return "".join(f"{line}\n" for line in _write_lines(report)).encode("utf-8", "replace")


def _write_lines(report: Report) -> Iterator[str]:
    title = _write_one_line(report.title)
    yield title
    yield "=" * min(len(title), 80)
    for label, text in report.facts:
        yield f"{label}: {_write_one_line(text)}"
    yield ""
    names = _list_names(report)
    for item in report.items:
        blanks = "  " * min(item.depth, MAX_INDENTS)
        yield blanks + _write_line(item, names).replace("\n", f"\n{blanks}  ")
    if report.is_cut:
        yield f"\n{CUT}"


def _write_line(item: ContentItem, names: dict[str, str]) -> str:
    kind = _KINDS.get(item.value_type, "object")
    texts = [f"{kind} {_plain(_describe(reference))}" for reference in item.references]
    texts += [_plain(item.text)] if item.text else []
    texts += [_plain(_write_target(item, names))] if item.target else []
    relation = _name_relationship(item)
    name = f"[{_plain(relation)}] {_plain(item.name)}" if relation else _plain(item.name)
    return ": ".join(filter(None, (name, " ".join(texts)))) or "-"


def _write_one_line(text: str) -> str:
    """In the head a line is a fact, and a value must not begin another one."""
    return _plain(text).replace("\n", " ")


def _plain(text: str) -> str:
    return _CONTROL.sub("\ufffd", _LINES.sub("\n", text))
