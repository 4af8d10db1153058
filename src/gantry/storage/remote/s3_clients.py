"""The two clients of S3: botocore, which can do everything, and obstore, which is fast."""

from __future__ import annotations

from typing import Any

import botocore
import botocore.config
from obstore.store import S3Store

from gantry.storage.remote.certificates import read_certificates
from gantry.storage.remote.credentials import read_credentials
from gantry.storage.remote.place import RemotePlace

_REGION = "us-east-1"  # what servers that speak S3 are called when nobody has named their region
_CONNECT_SECONDS, _SILENT_SECONDS = 10, 30  # less than a worker may be silent (``beats.CALL_SECONDS``)


def make_client(place: RemotePlace, session: Any) -> Any:
    """Raises FailedPrecondition where the file of certificates cannot be read."""
    read_certificates(place)
    when = "when_supported" if sends_checksums(place) else "when_required"
    config = botocore.config.Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_SILENT_SECONDS,
        retries={"total_max_attempts": 1},  # ``retrying`` tries again
        max_pool_connections=place.concurrency,
        signature_version=botocore.UNSIGNED if place.anonymous else None,
        s3={"addressing_style": "path" if _is_path_style(place) else "auto"},
        request_checksum_calculation=when,
        response_checksum_validation="when_required",
    )
    made = session.create_client(
        "s3",
        region_name=place.region or session.get_config_variable("region") or _REGION,
        endpoint_url=place.endpoint or None,
        verify=place.ca_file or None,
        config=config,
    )
    made.meta.events.register_last("before-parameter-build.s3", _stay_here)
    return made


def _stay_here(context: dict[str, Any], **_: Any) -> None:
    """botocore would sign for another region, and send requests there, without a word; obstore would not. What the
    settings say holds for both: the error names the region."""
    context.setdefault("s3_redirect", {})["redirected"] = True


def make_fast_client(place: RemotePlace, session: Any, client: Any) -> S3Store:
    """With the region of the other client, and its credentials."""
    options: Any = {
        "allow_http": place.endpoint.startswith("http://"),
        "connect_timeout": f"{_CONNECT_SECONDS}s",
        "read_timeout": f"{_SILENT_SECONDS}s",
        "timeout": "1h",  # bytes that come are progress; only silence is an error
        "pool_max_idle_per_host": str(place.concurrency),
    }
    if place.ca_file:
        options["root_certificate"] = read_certificates(place)
    config: dict[str, Any] = {
        "region": client.meta.region_name,
        "virtual_hosted_style_request": not _is_path_style(place),
        "skip_signature": place.anonymous,
        "request_payer": place.requester_pays,
    }
    if sends_checksums(place):
        config["checksum_algorithm"] = "SHA256"  # the signature needs it anyway
    if place.endpoint:
        config["endpoint"] = place.endpoint
    if not place.anonymous:
        config["credential_provider"] = read_credentials(session)
    return S3Store(place.bucket, client_options=options, retry_config={"max_retries": 0}, **config)


def sends_checksums(place: RemotePlace) -> bool:
    """Servers that are not Amazon's often refuse the newer headers."""
    return place.checksums if place.checksums is not None else not place.endpoint


def _is_path_style(place: RemotePlace) -> bool:
    """A name with a dot is in the path: the certificate of Amazon is for one label before its own name."""
    return place.path_style if place.path_style is not None else bool(place.endpoint) or "." in place.bucket
