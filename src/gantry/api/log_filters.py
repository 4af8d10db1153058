"""The filter language of ``entries:list``, for the fields that error logs of operations have."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from gantry.api.wire import LOG_KINDS, LogKind
from gantry.errors import InvalidArgument, invalid_field
from gantry.log_entries import LogFilter, Severity
from gantry.whole_numbers import read_number

_MAX_LENGTH = 20_000  # characters, as in Cloud Logging
_MAX_DEPTH, _MAX_COMPARISONS = 50, 200  # SQLite limits the depth of an expression to 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<word>AND|OR|NOT)\b | (?P<bracket>[()-])
      | (?P<field>[\w.@"]+)\s*(?P<operator><=|>=|!=|=~|!~|=|<|>|:)\s*
        (?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s"()]+))
    )""",
    re.VERBOSE,
)
_TRUE, _FALSE = LogFilter("all"), LogFilter("any")
_TEXTS = {
    "resource.labels.project_id": "project",
    "resource.labels.location": "location",
    "resource.labels.dataset_id": "dataset",
    "resource.labels.dicom_store_id": "store",
    "jsonPayload.source": "resource",
    "jsonPayload.resourceName": "resource",
    "jsonPayload.error.message": "message",
}
_TEXT_OPERATORS = (":", "=", "!=")
_SUBJECTS = ("source", "resourceName")
_KINDS: dict[str, Callable[[LogKind], str]] = {
    "logName": lambda kind: kind.log,
    'jsonPayload."@type"': lambda kind: kind.type,
    "operation.producer": lambda kind: kind.producer,
}
FIELDS = (
    "resource.type",
    "severity",
    "timestamp",
    "operation.id",
    "jsonPayload.error.code",
    *_TEXTS,
    *_KINDS,
)


def parse_log_filter(text: str) -> LogFilter:
    """Comparisons joined by ``AND``, ``OR``, ``NOT`` and parentheses; two in a row are joined by ``AND``.

    ``OR`` binds tighter than ``AND``, as it does in Cloud Logging. Raises InvalidArgument that names what is not known.
    """
    if len(text) > _MAX_LENGTH:
        raise invalid_field("filter", f"is longer than {_MAX_LENGTH} characters")
    return _Parser(text.rstrip()).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text, self._position, self._depth, self._comparisons = text, 0, 0, 0

    def whole(self) -> LogFilter:
        if not self._text:
            return _TRUE
        condition = self._all()
        if self._position < len(self._text):
            raise self._bad()
        return condition

    def _all(self) -> LogFilter:
        parts = [self._any()]
        while self._position < len(self._text) and not self._next_is(")"):
            self._take("AND")
            parts.append(self._any())
        return LogFilter("all", parts=tuple(parts))

    def _any(self) -> LogFilter:
        parts = [self._one()]
        while self._take("OR"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else LogFilter("any", parts=tuple(parts))

    def _one(self) -> LogFilter:
        negated = self._take("NOT") or self._take("-")
        if self._take("("):
            self._depth += 1
            if self._depth > _MAX_DEPTH:
                raise invalid_field("filter", f"has more than {_MAX_DEPTH} parentheses inside each other")
            condition = self._all()
            if not self._take(")"):
                raise self._bad()
            self._depth -= 1
        else:
            condition = self._comparison()
        return LogFilter("not", parts=(condition,)) if negated else condition

    def _comparison(self) -> LogFilter:
        match = _TOKEN.match(self._text, self._position)
        if match is None or not match["field"]:
            raise self._bad()
        self._comparisons += 1
        if self._comparisons > _MAX_COMPARISONS:
            raise invalid_field("filter", f"has more than {_MAX_COMPARISONS} comparisons")
        self._position = match.end()
        value = match["plain"] if match["quoted"] is None else re.sub(r"\\(.)", r"\1", match["quoted"])
        return _comparison(match["field"], match["operator"], value)

    def _next_is(self, token: str) -> re.Match[str] | None:
        match = _TOKEN.match(self._text, self._position)
        return match if match is not None and token in (match["word"], match["bracket"]) else None

    def _take(self, token: str) -> bool:
        match = self._next_is(token)
        self._position = match.end() if match else self._position
        return match is not None

    def _bad(self) -> InvalidArgument:
        rest = self._text[self._position :].strip()[:100]
        what = f"{rest!r} is not understood" if rest else "it ends too early"
        return invalid_field("filter", f"{what}; compare {', '.join(FIELDS)}, joined by AND, OR, NOT and parentheses")


def _comparison(field: str, operator: str, value: str) -> LogFilter:
    if field in _TEXTS:
        condition = LogFilter(_operator(field, operator, *_TEXT_OPERATORS), _TEXTS[field], value)
        subject = field.removeprefix("jsonPayload.")
        return (
            LogFilter("all", parts=(condition, _of(lambda kind: kind.subject == subject)))
            if subject in _SUBJECTS
            else condition
        )
    if field in _KINDS:
        return _kind(field, _operator(field, operator, *_TEXT_OPERATORS), value)
    if field == "resource.type":
        same = _constant("healthcare_dicom_store", _operator(field, operator, *_TEXT_OPERATORS), value)
        return _TRUE if same else _FALSE
    if field == "severity":
        return LogFilter(_operator("severity", operator), "severity", _severity(value))
    if field == "timestamp":
        return LogFilter(_operator(field, operator), "time", _micros(value))
    if field in ("operation.id", "jsonPayload.error.code"):
        number = read_number(value)
        name = "operation" if field == "operation.id" else "code"
        return LogFilter(_operator(field, operator), name, -1 if number is None else number)
    raise invalid_field("filter", f"there is no field {field!r} to compare; there are {', '.join(FIELDS)}")


def _operator(field: str, operator: str, *allowed: str) -> str:
    allowed = allowed or ("=", "!=", "<", "<=", ">", ">=")
    if operator not in allowed:
        raise invalid_field("filter", f"{field} cannot be compared by {operator!r}; use {' '.join(allowed)}")
    return operator


def _of(wanted: Callable[[LogKind], bool]) -> LogFilter:
    """The operations with a wanted kind of log."""
    methods = (method.value for method, kind in LOG_KINDS.items() if wanted(kind))
    return LogFilter("any", parts=tuple(LogFilter("=", "method", method) for method in methods))


def _constant(present: str, operator: str, value: str) -> bool:
    """Whether a comparison is true for a value that is known without the index."""
    if operator == ":":
        return value.lower() in present.lower()
    return (present == value) == (operator == "=")


def _kind(field: str, operator: str, value: str) -> LogFilter:
    """A comparison with a value that all entries of a kind share. The whole name of a log begins with its project."""
    project = ""
    if field == "logName" and operator != ":":
        project, _, value = value.rpartition("/logs/")
        value = value.replace("/", "%2F")
    same = "=" if operator == "!=" else operator
    condition = _of(lambda kind: _constant(_KINDS[field](kind), same, value))
    if project:
        condition = LogFilter("all", parts=(condition, LogFilter("=", "project", project.removeprefix("projects/"))))
    return LogFilter("not", parts=(condition,)) if operator == "!=" else condition


def _severity(text: str) -> int:
    try:
        return Severity[text.upper()]
    except KeyError:
        raise invalid_field("filter", f"severity {text!r} is none of {', '.join(Severity.__members__)}") from None


def _micros(text: str) -> int:
    try:
        time = datetime.fromisoformat(text)
        return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise invalid_field("filter", f"timestamp {text!r} is not a time such as 2030-01-31T12:00:00Z") from None
