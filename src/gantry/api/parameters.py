"""Query parameters: in their order, by name, and those of all methods."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl

from gantry.errors import InvalidArgument

Pair = tuple[str, str]
MAX_PARAMETERS = 1000
"""Of a query or a form: far more than any method takes, and read in a millisecond."""

SYSTEM = (
    *("$.xgafv", "access_token", "alt", "callback", "fields", "key", "oauth_token", "prettyPrint", "quotaUser"),
    *("uploadType", "upload_protocol"),
)
"""As the discovery documents of Google's APIs list them."""

OAUTH = ("access_token", "oauth_token")
"""Those that can hold a bearer token."""


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest) if head else name


_SYSTEM_NAMES = {_camel(name.removeprefix("$.")) for name in (*SYSTEM, "userProject")}


def is_system(name: str) -> bool:
    """Also with ``$`` or ``$.`` before it, and in snake_case, as Google's servers accept them."""
    return _camel(_without_sign(name)) in _SYSTEM_NAMES


def _without_sign(name: str) -> str:
    return name.removeprefix("$").removeprefix(".")


def parse_pairs(text: str, place: str = "query") -> list[Pair]:
    """Parameters in their order, as UTF-8 (WHATWG URL §5.1). ``place`` names the text in an error.

    Raises InvalidArgument.
    """
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMETERS, errors="strict")
    except UnicodeDecodeError:
        raise InvalidArgument(f"the {place} is not valid UTF-8") from None
    except ValueError:
        raise InvalidArgument(f"the {place} has more than {MAX_PARAMETERS} parameters") from None


def by_name(pairs: Sequence[Pair]) -> dict[str, str]:
    """Parameters by camelCase name, system parameters without a ``$`` before it; the first of several counts."""
    named: dict[str, str] = {}
    for name, value in pairs:
        named.setdefault(_camel(_without_sign(name) if is_system(name) else name), value)
    return named


def drop_system(pairs: Sequence[Pair]) -> list[Pair]:
    return [(name, value) for name, value in pairs if not is_system(name)]
