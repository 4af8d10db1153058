"""Messages of others in the language of this call: of the server, and of modules that it shares with the commands.

Those are English wherever they are made, because callers of the API get them so. The server's have a reason, whose
title and advice are translated; what the shared modules say is found again in ``shared_texts``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from gantry.client.shared_texts import SHARED
from gantry.errors import StatusError
from gantry.languages import ENGLISH, _, language
from gantry.reasons import ABOUT, DOMAIN, Reason
from gantry.system_errors import MESSAGES

_PLACE = re.compile(r"\\{(\w+)\\}")  # a placeholder of ``str.format``, escaped for an expression


def describe_error(error: StatusError) -> str:
    """For a person: of the server, title and advice of its reason with the message in brackets."""
    if language() == ENGLISH:
        return error.message
    if error.details:
        return f"{_find_localized(error)} ({error.message})"
    if not error.advice:
        return translate_message(error.message)
    advice = translate_message(error.advice)
    return f"{translate_message(error.what)}. {advice[:1].upper()}{advice[1:]}"


def _find_localized(error: StatusError) -> str:
    """What the server says in the language of this call, or what is known here of its reason."""
    for each in error.details:
        if each.get("locale") == language() and each.get("message"):
            return str(each["message"])  # a google.rpc.LocalizedMessage
    reason = find_reason(error.details)
    about = ABOUT[Reason(reason) if reason in Reason.__members__ else Reason[error.code.name]]
    return f"{_(about.title)}. {_(about.advice)}"


def describe_failure(message: str, reason: str | None) -> str:
    """The failure of an object, with its reason (docs/howto/failures.md). In another language than that of the message
    the title of the reason stands before it."""
    if not reason:
        return message
    known = reason in Reason.__members__ and language() != ENGLISH
    return f"{_(ABOUT[Reason(reason)].title)}: {message} [{reason}]" if known else f"{message} [{reason}]"


def find_reason(details: Sequence[dict[str, Any]]) -> str:
    """That of a ``google.rpc.ErrorInfo``; "" without one. A newer server may have more than ``Reason``."""
    return next((str(each.get("reason", "")) for each in details if each.get("domain") == DOMAIN), "")


def translate_message(text: str) -> str:
    """What a shared module says, where it is known; else as it is."""
    if language() == ENGLISH:
        return text
    if text in MESSAGES:
        return _(text)
    for template, pattern in _compile():
        if found := pattern.fullmatch(text):
            return _(template).format(**{name: translate_message(value) for name, value in found.groupdict().items()})
    return text


@cache
def _compile() -> Sequence[tuple[str, re.Pattern[str]]]:
    """What is most precise first: the template with the most text of its own."""
    return [(each, re.compile(_to_pattern(each), re.DOTALL)) for each in sorted(SHARED, key=_count_own, reverse=True)]


def _to_pattern(template: str) -> str:
    return _PLACE.sub(r"(?P<\1>.*?)", re.escape(template))


def _count_own(template: str) -> int:
    return len(re.sub(r"\{\w+\}", "", template))


def list_advice(reasons: Iterable[str]) -> Iterator[str]:
    """What to do about each kind of failure, each once."""
    for reason in dict.fromkeys(reasons):
        if reason in Reason.__members__:
            yield f"{reason}: {_(ABOUT[Reason(reason)].advice)}"
