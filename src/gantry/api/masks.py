"""``updateMask``: a comma-separated list of field paths, in camelCase or snake_case."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, get_args

from gantry.api.messages import Message
from gantry.errors import invalid_field


def apply_mask(
    query: Mapping[str, str],
    model: type[Message],
    fields: tuple[str, ...],
    old: dict[str, Any],
    body: dict[str, Any],
) -> dict[str, Any]:
    """``old`` with the masked paths taken from ``body``; a masked path that the body lacks is cleared.

    Without a mask, what the body holds is taken. Raises InvalidArgument for a path that cannot be changed.
    """
    mask = query.get("updateMask") or query.get("update_mask") or ""
    paths = [_snake(path.strip()) for path in mask.split(",") if path.strip()]
    if not paths:
        paths = [field for field in fields if field in body]
    if "*" in paths:
        paths = list(fields)
    new = deepcopy(old)
    for path in paths:
        if path.split(".")[0] not in fields or not _has_field(model, path):
            raise invalid_field("updateMask", f"{path!r} is not a field that can be updated; use {', '.join(fields)}")
        _copy(path.split("."), body, new)
    return new


def _snake(path: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: "_" + match.group(1).lower(), path)


def _has_field(model: type[Message], path: str) -> bool:
    head, dot, rest = path.partition(".")
    if head not in model.model_fields:
        return False
    annotation = model.model_fields[head].annotation
    inner = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
    below = next((kind for kind in inner if issubclass(kind, Message)), None)
    if below is None and head == "labels":
        return not dot or (bool(rest) and "." not in rest)
    return not dot or (below is not None and _has_field(below, rest))


def _copy(path: list[str], source: dict[str, Any], target: dict[str, Any]) -> None:
    head, *rest = path
    if rest:
        if target.get(head) is None:
            target[head] = {}
        _copy(rest, source.get(head) or {}, target[head])
    elif source.get(head) is None:
        target.pop(head, None)
    else:
        target[head] = source[head]
