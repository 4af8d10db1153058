"""Credentials of S3: one chain for both clients."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.loaders
import botocore.session
from botocore.exceptions import BotoCoreError, NoCredentialsError

from gantry.storage.remote.place import RemotePlace

_KEPT = timedelta(minutes=5)
"""How long credentials are used before the chain is asked again: it renews those that are about to end."""
_METADATA = "iam-role"  # botocore's name for the metadata service of a machine


_LOADER = botocore.loaders.create_loader()
"""The description of S3, of some megabytes, which all clients of a process share."""


_NO_PROFILE = {"profile": (None, None, None, None)}
"""Of the variables of a session: the environment names none (``Session.SESSION_VARIABLES``)."""


def make_session(place: RemotePlace) -> Any:
    session = botocore.session.Session(profile=place.profile or None)
    if _needs_no_profile(place) and session.profile not in (None, *session.available_profiles):
        session = botocore.session.Session(session_vars=_NO_PROFILE)
    session.register_component("data_loader", _LOADER)
    if place.access_key_id:
        session.set_credentials(place.access_key_id, place.secret_access_key, place.session_token or None)
    elif not place.instance_metadata:
        # Nobody waits for an address that answers on machines of one cloud only.
        session.get_component("credential_provider").remove(_METADATA)
    return session


def list_profiles() -> Collection[str]:
    """Those of Amazon's files; none where they cannot be read."""
    try:
        return list(botocore.session.Session(session_vars=_NO_PROFILE).available_profiles)
    except BotoCoreError:
        return ()


def _needs_no_profile(place: RemotePlace) -> bool:
    """AWS_PROFILE may name the profile of other buckets: one that has its own key takes no more from it than the
    region, if it is there."""
    return not place.profile and bool(place.access_key_id or place.anonymous)


def read_credentials(session: Any) -> Callable[[], Any]:
    """What gives obstore the credentials that the session has at that time."""

    def read() -> dict[str, Any]:
        found = session.get_credentials()
        if found is None:
            raise NoCredentialsError
        frozen = found.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _KEPT,
        }

    return read
