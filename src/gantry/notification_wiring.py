"""Wiring of notifications: topics of the settings, and the credentials of Google that publish to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gantry.errors import BucketAway, FailedPrecondition, PermissionDenied
from gantry.libraries import is_installed
from gantry.notices import NoPublisher, Publisher
from gantry.notifications.topics import Headers, TopicRule
from gantry.settings.loading import Settings
from gantry.storage.remote.place import RemotePlace

_SCOPES = ("https://www.googleapis.com/auth/pubsub",)


def open_publisher(settings: Settings) -> Publisher:
    """Raises FailedPrecondition where the libraries of Google's credentials are not installed."""
    if not settings.topics:
        return NoPublisher()
    for rule in settings.topics:
        if rule.pubsub and not rule.is_plain and not is_installed("google.auth"):
            raise FailedPrecondition(
                f"topics: {rule.topic} needs a library that is not installed: `pip install 'gantry-dicom[gcs]'`"
            )
    from gantry.notifications.publishing import Topics  # with httpx, which takes its time

    return Topics(settings.topics, _find_headers)


def _find_headers(rule: TopicRule) -> Headers:
    """Of requests without TLS none: whoever reads them would have the token."""
    if rule.is_plain:
        return dict
    from google.auth.exceptions import GoogleAuthError

    from gantry.storage.remote.gcs_credentials import Tokens

    place = RemotePlace(
        "gcs", "", rule.topic, credentials_file=rule.credentials_file, instance_metadata=rule.instance_metadata,
        ca_file=rule.ca_file,
    )  # fmt: skip
    kept: list[Callable[[], Mapping[str, str]]] = []

    def find() -> Mapping[str, str]:
        """The texts of google.auth have paths of files."""
        try:
            if not kept:
                kept.append(Tokens(place, _SCOPES).make_headers)
            return kept[0]()
        except (GoogleAuthError, BucketAway):
            raise PermissionDenied(
                f"topic {rule.topic}: there are no credentials of Google that can be used",
                advice="set credentials_file of its entry in topics, or GOOGLE_APPLICATION_CREDENTIALS",
            ) from None

    return find
