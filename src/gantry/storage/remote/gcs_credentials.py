"""Credentials of Google: the file of the settings, or the usual chain of Google's tools."""

from __future__ import annotations

import math
import os
import warnings
from datetime import UTC
from functools import partial
from typing import Any

import google.auth
from google.auth.credentials import with_scopes_if_required
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from urllib3.exceptions import HTTPError

from gantry.errors import BucketAway
from gantry.storage.remote.connections import ask_for_token
from gantry.storage.remote.gcs_machine import Machine
from gantry.storage.remote.kept_tokens import KeptToken
from gantry.storage.remote.place import RemotePlace
from gantry.system_errors import describe_os_error

_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write",)

_OF_USERS = ("google.oauth2.credentials", "google.auth.external_account_authorized_user")
_FEDERATED = ("google.auth.identity_pool", "google.auth.aws", "google.auth.pluggable")
"""The modules of credentials that are no service account's."""


def _send(place: RemotePlace, url: str, method: str = "GET", body: Any = None, headers: Any = None, **_: Any) -> Any:
    """A request of google.auth, whose own transports need libraries that it does not bring."""
    try:
        return ask_for_token(place, method, url, body=body, headers=headers)
    except HTTPError as error:
        raise TransportError(error) from error  # type: ignore[no-untyped-call]


class Tokens:
    """The token of one identity, renewed before it ends. Safe to use from many threads."""

    def __init__(self, place: RemotePlace, scopes: tuple[str, ...] = _SCOPES) -> None:
        """Raises google.auth's exceptions where there are no credentials, or a file of them cannot be read."""
        self._place = place
        self._credentials = None if place.anonymous else _find_credentials(place, scopes)
        self._kept = KeptToken(self._renew)

    @property
    def identity(self) -> str:
        """Who asks, for errors: a service account or a user, by name where it is known; "" where nobody is known."""
        found = getattr(self._credentials, "service_account_email", None)
        if found not in (None, "default"):
            return str(found)
        kind, user = type(self._credentials).__module__, getattr(self._credentials, "account", None)
        if kind in _OF_USERS:
            return f"user {user}" if user else "a user"
        return "a federated identity" if kind in _FEDERATED else ""

    def make_headers(self) -> dict[str, str]:
        """Raises google.auth's exceptions where the token cannot be renewed."""
        if self._credentials is None:
            return {}
        return {"authorization": f"Bearer {self._kept.get()}"}

    def forget(self) -> None:
        """The token was refused."""
        self._kept.forget()

    def _renew(self) -> tuple[str, float]:
        found: Any = self._credentials
        found.refresh(partial(_send, self._place))
        ends = found.expiry.replace(tzinfo=UTC).timestamp() if found.expiry is not None else math.inf
        return str(found.token), ends


def _find_credentials(place: RemotePlace, scopes: tuple[str, ...]) -> Any:
    """google.auth's own chain waits for an address that answers on machines of one cloud only."""
    for path, name in (
        (place.credentials_file, "its credentials_file"),
        (os.environ.get("GOOGLE_APPLICATION_CREDENTIALS", ""), "the file of GOOGLE_APPLICATION_CREDENTIALS"),
        (_find_file_of_gcloud(), "the file that gcloud has written"),
    ):
        if path:
            return _read_file(place, path, name, scopes)
    if place.instance_metadata:
        return Machine(place, scopes)
    raise DefaultCredentialsError("no file, and no metadata service")  # type: ignore[no-untyped-call]


def _read_file(place: RemotePlace, path: str, name: str, scopes: tuple[str, ...]) -> Any:
    """Raises BucketAway: the operation goes on once the file can be read."""
    try:
        with warnings.catch_warnings():  # of files that come from somebody else: this one is the administrator's
            warnings.simplefilter("ignore", DeprecationWarning)
            # With scopes it would ask for the project of a federated identity, by its own transport.
            found = google.auth.load_credentials_from_file(path, request=partial(_send, place))[0]  # type: ignore[no-untyped-call]
            return with_scopes_if_required(found, scopes)  # type: ignore[no-untyped-call]
    except OSError as error:
        what = f"cannot be read: {describe_os_error(error)}"
    except (GoogleAuthError, ValueError, TypeError, AttributeError, KeyError):  # of any JSON; their texts have paths
        what = "has no credentials of Google that can be read"
    raise BucketAway(f"bucket {place.address}: {name} {what}", advice="see to the settings")


def _find_file_of_gcloud() -> str:
    """What ``gcloud auth application-default login`` has written; "" where it has not."""
    directory = os.environ.get("CLOUDSDK_CONFIG") or os.path.join(os.path.expanduser("~"), ".config", "gcloud")
    path = os.path.join(directory, "application_default_credentials.json")
    return path if os.path.isfile(path) else ""
