"""The service account of a machine or of a pod at Google, which its metadata service knows ("About VM metadata").

google.auth has this too, but imports ``requests`` for it, which it does not bring.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from google.auth.exceptions import RefreshError

from gantry.errors import BucketAway
from gantry.storage.remote.place import RemotePlace

_ACCOUNT = "/computeMetadata/v1/instance/service-accounts/default/"
_FLAVOR = {"metadata-flavor": "Google"}
"""Who asks and who answers says it, so that nobody is asked by mistake and no other server is believed."""


class Machine:
    """As google.auth's credentials are. ``expiry`` is in UTC, and does not say so."""

    def __init__(self, place: RemotePlace, scopes: tuple[str, ...]) -> None:
        """Makes no request."""
        self._place, self._scopes = place, scopes
        self.token: str | None = None
        self.expiry: datetime | None = None
        self.service_account_email = ""

    def refresh(self, request: Callable[..., Any]) -> None:
        """Raises google.auth's exceptions where no answer comes, BucketAway where there is no token."""
        said = self._ask(request, f"token?{urlencode({'scopes': ','.join(self._scopes)})}")
        try:
            found = json.loads(said)
            token, seconds = str(found["access_token"]), int(found["expires_in"])
        except (ValueError, TypeError, KeyError):
            raise _make_error("what the metadata service said is no token") from None
        self.service_account_email = self.service_account_email or self._ask(request, "email").decode(
            "ascii", "replace"
        )
        self.token, self.expiry = token, datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=seconds)

    def _ask(self, request: Callable[..., Any], what: str) -> bytes:
        host = os.environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
        said = request(f"http://{host}{_ACCOUNT}{what}", headers=dict(_FLAVOR))
        if said.status >= 500 or said.status == 429 or said.headers.get("metadata-flavor") != "Google":
            raise _make_error(f"the metadata service answers {said.status}")
        if said.status != 200:
            raise BucketAway(
                f"bucket {self._place.address}: the machine has no service account: its metadata service answers with "
                f"HTTP status {said.status}",
                advice="give it one, or name credentials in the settings",
            )
        return bytes(said.data)


def _make_error(words: str) -> RefreshError:
    return RefreshError(words, retryable=True)  # type: ignore[no-untyped-call]
