"""Credentials of Google: the file of the settings, or the usual chain of Google's tools."""

from __future__ import annotations

import os
import threading
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import google.auth
import google.auth.compute_engine
from google.auth.exceptions import DefaultCredentialsError
from google.auth.transport.urllib3 import Request

from gantry.storage.remote.connections import ask_for_token
from gantry.storage.remote.place import RemotePlace

_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write",)
_RENEWED = timedelta(minutes=5)
"""Before a token ends, which is good for an hour: no request is sent with one that ends on the way."""


class _TokenRequests:
    """What google.auth needs of a pool of urllib3."""

    request = staticmethod(ask_for_token)


class Tokens:
    """The token of one identity, renewed before it ends. Safe to use from many threads."""

    def __init__(self, place: RemotePlace) -> None:
        """Raises google.auth's exceptions where there are no credentials, or a file of them cannot be read."""
        self._credentials = None if place.anonymous else _find_credentials(place)
        self._lock = threading.Lock()
        self._request = Request(_TokenRequests())  # type: ignore[no-untyped-call]

    @property
    def identity(self) -> str:
        """The name of the service account; "" where it is not known."""
        found = getattr(self._credentials, "service_account_email", None)
        return "" if found in (None, "default") else str(found)

    def make_headers(self) -> dict[str, str]:
        """Raises google.auth's exceptions where the token cannot be renewed."""
        if self._credentials is None:
            return {}
        with self._lock:
            if not self._is_good():
                self._credentials.refresh(self._request)
            return {"authorization": f"Bearer {self._credentials.token}"}

    def forget(self) -> None:
        """The token was refused."""
        with self._lock:
            if self._credentials is not None:
                self._credentials.token = None

    def _is_good(self) -> bool:
        found: Any = self._credentials
        if not found.token:
            return False
        return found.expiry is None or found.expiry.replace(tzinfo=UTC) - datetime.now(UTC) > _RENEWED


def _find_credentials(place: RemotePlace) -> Any:
    """google.auth's own chain waits for an address that answers on machines of one cloud only."""
    path = place.credentials_file or os.environ.get("GOOGLE_APPLICATION_CREDENTIALS", "") or _find_file_of_gcloud()
    if path:
        with warnings.catch_warnings():  # of files that come from somebody else: this one is the administrator's
            warnings.simplefilter("ignore", DeprecationWarning)
            return google.auth.load_credentials_from_file(path, scopes=_SCOPES)[0]  # type: ignore[no-untyped-call]
    if place.instance_metadata:
        return google.auth.compute_engine.Credentials(scopes=_SCOPES)  # type: ignore[no-untyped-call]
    raise DefaultCredentialsError("no file, and no metadata service")  # type: ignore[no-untyped-call]


def _find_file_of_gcloud() -> str:
    """What ``gcloud auth application-default login`` has written; "" where it has not."""
    directory = os.environ.get("CLOUDSDK_CONFIG") or os.path.join(os.path.expanduser("~"), ".config", "gcloud")
    path = os.path.join(directory, "application_default_credentials.json")
    return path if os.path.isfile(path) else ""
