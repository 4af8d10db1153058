"""Errors that the console itself raises. Their texts are in the reader's language; those of the API are in English."""

from __future__ import annotations

from markupsafe import Markup

from gantry.errors import FailedPrecondition, InvalidArgument, NotFound, StatusError, Unauthenticated
from gantry.languages import ENGLISH, language


class Refused(InvalidArgument):
    """What was typed or chosen in a form cannot be taken."""


class NotHere(NotFound):
    """There is no such page, or nothing to show on it."""


class NotSignedIn(Unauthenticated):
    """Signing in has not worked."""


class NotNow(FailedPrecondition):
    """It cannot be done in the present state."""


def lang_of(error: StatusError) -> Markup:
    """The attribute of the element with the error's text, where that is in another language than the page."""
    is_own = isinstance(error, (Refused, NotHere, NotSignedIn, NotNow))
    return Markup("") if is_own or language() == ENGLISH else Markup(' lang="en"')
