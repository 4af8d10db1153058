"""Request messages, read from the JSON of a body.

Input is proto3 JSON: lowerCamelCase or snake_case, null means unset, an unknown field is an error that names it.
Reading ends at the first error, so that a body of a million wrong fields costs no more than one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, StrictInt, ValidationError
from pydantic.alias_generators import to_camel

from gantry.errors import invalid_field, shorten
from gantry.whole_numbers import read_number

logger = logging.getLogger(__name__)

Json = dict[str, Any]
_SHOWN = 100  # characters of a client's text that an error repeats


class Message(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


Body = TypeVar("Body", bound=Message)


def read(model: type[Body], body: Json) -> Body:
    """A message from a body. Raises InvalidArgument that names the first wrong field."""
    _check_message(model, body, "")
    try:
        return model.model_validate(body)
    except ValidationError as error:  # a field with a rule of its own
        logger.warning("a body is refused for what pydantic says: %s", error)
        places = [_below_all(found["loc"]) for found in error.errors(include_url=False, include_input=False)]
        raise invalid_field(places[0], "has a value that cannot stand there") from None


def read_request(model: type[Body], body: Json, **bound: object) -> Body:
    """Like ``read``, for a body that may repeat fields which the path binds (google.api.http, ``body: "*"``).

    ``bound`` has these fields in snake_case with the value of the path, a tuple if it has several spellings. Raises
    InvalidArgument for another value.
    """
    rest = dict(body)
    for field, value in bound.items():
        for key in dict.fromkeys((field, to_camel(field))):
            spellings = value if isinstance(value, tuple) else (value,)
            require_same(to_camel(field), rest.pop(key, None), *map(str, spellings))
    return read(model, rest)


def require_same(field: str, value: Any, *expected: str) -> None:
    """Raises InvalidArgument if a field contradicts the path; null and "" mean unset."""
    if value not in (None, "", *expected):
        raise invalid_field(
            field, f"is {_quote(value)}, but the path says {expected[0]!r}; leave it out, or correct it"
        )


def enum_name(field: str, value: str | int, names: Sequence[str]) -> str:
    """The name of an enum's value; clients send its name or its number. Raises InvalidArgument."""
    if isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    if value not in names:
        raise invalid_field(field, f"{_quote(value)} is none of {', '.join(names[1:])}")
    return str(value)


def _quote(value: Any) -> str:
    text = repr(value) if isinstance(value, (str, int, float)) else "no text"
    return shorten(text, _SHOWN)


# --- what a body may hold


class _Field(NamedTuple):
    """``name`` is in lowerCamelCase, ``kind`` the annotation without None."""

    name: str
    kind: Any
    required: bool


@cache
def _fields(model: type[Message]) -> dict[str, _Field]:
    """The fields by each of their spellings."""
    fields: dict[str, _Field] = {}
    for name, info in model.model_fields.items():
        camel = info.serialization_alias or info.alias or to_camel(name)
        field = _Field(camel, _without_none(info.annotation), info.is_required())
        aliases = getattr(info.validation_alias, "choices", ())
        fields |= dict.fromkeys((name, camel, *aliases), field)
    return fields


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) not in (Union, UnionType):
        return annotation
    kinds = tuple(kind for kind in get_args(annotation) if kind is not type(None))
    return kinds[0] if len(kinds) == 1 else kinds


def _check_message(model: type[Message], body: Any, place: str) -> None:
    if not isinstance(body, dict):
        raise invalid_field(place, "must be an object")
    fields, seen = _fields(model), dict[str, str]()  # field → its spelling in the body
    for key, value in body.items():
        field = fields.get(key)
        if field is None:
            raise invalid_field(
                _below(place, shorten(key, _SHOWN)), f"unknown field in {model.__name__.removesuffix('Body')}"
            )
        if field.name in seen:
            raise invalid_field(_below(place, field.name), f"is there twice, as {seen[field.name]} and as {key}")
        seen[field.name] = key
        if value is not None:
            _check(field.kind, value, _below(place, field.name))
    for field in fields.values():
        if field.required and body.get(seen.get(field.name, "")) is None:
            raise invalid_field(_below(place, field.name), "is required")


def _below_all(names: Iterable[object]) -> str:
    return ".".join(str(name)[:_SHOWN] for name in names)


def _below(place: str, name: object) -> str:
    return f"{place}.{name}" if place else str(name)


def _check(kind: Any, value: Any, place: str) -> None:
    origin = get_origin(kind)
    if origin is list:
        _require(isinstance(value, list), place, "must be a list")
        for number, item in enumerate(value):
            _check(get_args(kind)[0], item, _below(place, number))
    elif origin is dict:
        _require(isinstance(value, dict), place, "must be an object")
        inner = get_args(kind)[1]
        if inner is not Any:
            for key, item in value.items():
                _check(inner, item, _below(place, shorten(key, _SHOWN)))
    elif isinstance(kind, type) and issubclass(kind, Message):
        _check_message(kind, value, place)
    else:
        fits, words = _SCALARS[kind]
        _require(fits(value), place, f"must be {words}")


def _require(holds: bool, place: str, words: str) -> None:
    if not holds:
        raise invalid_field(place, words)


def _is_number(value: Any) -> bool:
    """A whole number from 0 on, or its digits: proto3 JSON has both. No integer of the API is negative."""
    if isinstance(value, str):
        return read_number(value) is not None
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return whole and not isinstance(value, bool) and value >= 0


def _is_text_or_number(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool)


_SCALARS: Mapping[Any, tuple[Callable[[Any], bool], str]] = {
    str: (lambda value: isinstance(value, str), "text"),
    bool: (lambda value: isinstance(value, bool) or value in ("true", "false"), "true or false"),
    int: (_is_number, "a number, zero or more"),
    (str, StrictInt): (_is_text_or_number, "a name or a number"),
}
