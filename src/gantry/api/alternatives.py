"""What is sent where the preferred form of a resource cannot be made: the next acceptable one (PS3.18 §8.7.8.1)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable
from typing import TypeVar

from gantry.api.accept import Choice, Offer
from gantry.errors import FailedPrecondition, InvalidArgument, NotAcceptable, StatusError, UnsuitableForm

Made = TypeVar("Made")


def make_first(choices: Iterable[Choice], make: Callable[[Offer, str], Made], stored: Collection[str] = ()) -> Made:
    """The first form that can be made. ``stored`` are the transfer syntaxes that need no decoding.

    ``choices`` are those of ``Call.rank``; ``make`` raises before its answer begins. Where the form is at fault, all
    other ones are tried; where the instance is, such as a damaged bitstream or one that ends a worker, those alone that
    need no decoding: each of the others would take as long and fail as well. A single part and parts of one form fail
    together. Where none can be made, the error of the preferred one is raised; as NotAcceptable where the form is at
    fault and not the instance (RFC 9110 §15.5.7).
    """
    failed: StatusError | None = None
    tried: set[tuple[str, str]] = set()
    decodes = True
    for choice in choices:
        form = choice.offer.type, choice.syntax
        if form in tried or not (decodes or choice.syntax in stored):
            continue
        tried.add(form)
        try:
            return make(*choice)
        except (FailedPrecondition, InvalidArgument) as error:
            failed = failed or error
            decodes = decodes and isinstance(error, UnsuitableForm | NotAcceptable)
    assert failed is not None  # noqa: S101 - ``Call.rank`` gives one choice or more
    raise NotAcceptable(failed.message) if isinstance(failed, UnsuitableForm) else failed


def begin(made: Generator[Made, None, None]) -> Generator[Made, None, None]:
    """The same values, the first of which is made now: raises what keeps it from being made."""
    first = next(made, None)

    def go_on() -> Generator[Made, None, None]:
        try:
            if first is not None:
                yield first
                yield from made
        finally:
            made.close()

    return go_on()
