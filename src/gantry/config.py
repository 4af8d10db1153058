"""Settings and wiring. The only file that names the parts behind the seams."""

from __future__ import annotations

import fcntl
import logging
import os
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gantry.access.tokens import StaticTokens
from gantry.api.access import Access, Verifier
from gantry.api.attempts import FailedAttempts
from gantry.api.effects import known_names
from gantry.api.forwarded import Proxies
from gantry.api.grants import read_grants
from gantry.api.sessions import CALLBACK, Sessions
from gantry.errors import FailedPrecondition, InvalidArgument, NotFound
from gantry.executors import WorkerPool
from gantry.iam.policies import Binding, Policy, check_bindings
from gantry.iam.roles import Roles
from gantry.index.sql import SqlIndex
from gantry.resources import BlobStorageClass
from gantry.seams import MAIN, BlobStore, BucketUse, Seams
from gantry.storage.bucket_rules import BucketRule, may_use, require
from gantry.storage.local import LocalBlobStore
from gantry.storage.place_marks import keep_places
from gantry.storage.places import PlacedBlobStore
from gantry.storage.uris import is_bucket_name

if TYPE_CHECKING:
    from gantry.access.issuer import Issuer
    from gantry.access.oidc import OidcTokens
    from gantry.access.service_accounts import ServiceAccounts
    from gantry.access.sign_in import OidcSignIn

logger = logging.getLogger(__name__)

_REGIONS = """
    asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1
    asia-southeast1 asia-southeast2 australia-southeast1 australia-southeast2 eu europe-north1 europe-west2 europe-west3
    europe-west4 europe-west6 me-central1 me-central2 me-west1 northamerica-northeast1 northamerica-northeast2
    southamerica-east1 us us-central1 us-east1 us-east4 us-west1 us-west2 us-west3
"""
LOCATIONS = tuple(_REGIONS.split())
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - refused without an address of their own


_NUMBERS = ("port", "workers", "retention_days", "max_operations", "session_hours", "failed_sign_ins_per_minute")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server needs to know. Each may come from a flag, ``GANTRY_NAME``, or ``name`` in the TOML file."""

    host: str = "127.0.0.1"
    port: int = 8080
    data: str = "gantry-data"
    buckets: str = ""
    workers: int = 0
    public_url: str = ""
    retention_days: int = 30
    max_operations: int = 1000
    log_json: bool = False
    strict_search: bool = False
    auth: str = "none"
    tokens_file: str = ""
    oidc_issuer: str = ""
    oidc_audience: str = ""
    oidc_email_claim: str = "email"
    oidc_groups_claim: str = "groups"
    oidc_require_email_verified: bool = False
    oidc_jwks_uri: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = field(default="", repr=False)
    session_hours: int = 12
    failed_sign_ins_per_minute: int = 30
    admins: tuple[str, ...] = ()
    custom_roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    audit_log: str = ""
    trusted_proxies: tuple[str, ...] = ()
    upload_min_bytes_per_second: int = 1000
    upload_max_seconds: int = 43_200
    tls_cert: str = ""
    tls_key: str = ""
    locations: tuple[str, ...] = LOCATIONS
    storage_classes: Mapping[str, str] = field(default_factory=dict)
    bucket_rules: tuple[BucketRule, ...] = ()
    accept_without_effect: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Base of every address the server prints or answers with."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url.rstrip("/") or f"http{'s' if self.tls_cert else ''}://{host}:{self.port}"

    @property
    def buckets_path(self) -> Path:
        """The directory whose directories are the buckets."""
        return Path(self.buckets).absolute() if self.buckets else Path(self.data).absolute() / "buckets"


def load_settings(flags: Mapping[str, Any], environ: Mapping[str, str], file: str = "") -> Settings:
    """Flags win over the environment, the environment over the file. Raises InvalidArgument naming the setting."""
    values: dict[str, Any] = {}
    if file:
        values |= _read_file(file)
    for name in (each.name for each in fields(Settings)):
        if (text := environ.get(f"GANTRY_{name.upper()}")) is not None:
            values[name] = text
        if flags.get(name) is not None:
            values[name] = flags[name]
    settings = Settings(**{name: _typed(name, value) for name, value in values.items()})
    if settings.auth not in ("none", "required"):
        raise InvalidArgument(f"auth: {settings.auth!r} is neither none nor required")
    if settings.auth == "none" and settings.host not in _LOOPBACK:
        raise InvalidArgument(
            f"host: {settings.host!r} is a public address, and this server asks nobody who they are. "
            "Set auth = required, or listen on 127.0.0.1 behind a proxy that authenticates"
        )
    if settings.host in _EVERYWHERE and not settings.public_url:
        raise InvalidArgument(
            f"public_url: is needed with host {settings.host!r}, which is no address that clients know"
        )
    if settings.auth == "none" and (settings.tokens_file or settings.oidc_issuer or settings.admins):
        raise InvalidArgument("auth: is none, so nobody is asked for a token; set auth = required")
    if settings.oidc_client_id and not settings.oidc_issuer:
        raise InvalidArgument("oidc_client_id: needs oidc_issuer, at which browsers sign in")
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise InvalidArgument("tls_cert, tls_key: are needed together")
    return settings


def open_access(settings: Settings) -> Access | None:
    """How callers are known; None where nobody is asked. Raises InvalidArgument."""
    if settings.auth == "none":
        return None
    if not settings.admins:
        logger.warning("no admins are set: unless policies are there already, nobody may do anything")
    admins = check_bindings([Binding("roles/owner", settings.admins)], roles := Roles(settings.custom_roles))
    above = read_grants(Policy(admins))
    sessions = Sessions(settings.url)
    attempts = FailedAttempts(settings.failed_sign_ins_per_minute, Proxies(settings.trusted_proxies).client)
    verifiers: list[Verifier] = [StaticTokens(settings.tokens_file)] if settings.tokens_file else []
    try:
        accounts = service_accounts_of(Path(settings.data).absolute(), settings.url)
    except FailedPrecondition:
        if settings.oidc_issuer or not verifiers:
            raise
        return Access(verifiers, sessions, attempts, roles, above, session_hours=settings.session_hours)
    from gantry.access.endpoint import TokenEndpoint

    issuer = _issuer(settings) if settings.oidc_issuer else None
    tokens = _oidc(settings, issuer, settings.oidc_audience) if issuer is not None else None
    verifiers += [accounts, *([tokens] if tokens is not None else [])]
    return Access(
        verifiers,
        sessions,
        attempts,
        roles,
        above,
        TokenEndpoint(accounts, tokens),
        _sign_in(settings, issuer) if issuer is not None and settings.oidc_client_id else None,
        settings.session_hours,
    )


def _issuer(settings: Settings) -> Issuer:
    from gantry.access.issuer import Issuer

    return Issuer(settings.oidc_issuer, settings.oidc_jwks_uri)


def _sign_in(settings: Settings, issuer: Issuer) -> OidcSignIn:
    from gantry.access.sign_in import OidcSignIn

    tokens = _oidc(settings, issuer, settings.oidc_client_id)  # an ID token is for the client that asked
    redirect = f"{settings.url}{CALLBACK}"
    return OidcSignIn(issuer, settings.oidc_client_id, settings.oidc_client_secret, redirect, tokens)


def _oidc(settings: Settings, issuer: Issuer, audience: str) -> OidcTokens:
    from gantry.access.oidc import ClaimNames, OidcTokens

    names = ClaimNames(settings.oidc_email_claim, settings.oidc_groups_claim, settings.oidc_require_email_verified)
    return OidcTokens(issuer, audience, names)


def service_accounts_of(data: Path, url: str = "") -> ServiceAccounts:
    """Those of a server's data directory. Raises FailedPrecondition where the libraries for it are not installed."""
    try:
        from gantry.access.service_accounts import ServiceAccounts
    except ImportError:
        raise FailedPrecondition(
            "service accounts and OpenID Connect need a library: pip install 'gantry-dicom[auth]'"
        ) from None
    return ServiceAccounts(data / "service-accounts", (url, f"{url}/", f"{url}/token") if url else ())


def _read_file(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            values = tomllib.load(file)
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"{path}: cannot be read as TOML: {error}") from None
    unknown = values.keys() - {each.name for each in fields(Settings)}
    if unknown:
        raise InvalidArgument(f"{path}: unknown setting {', '.join(sorted(unknown))}")
    return values


def _typed(name: str, value: Any) -> Any:
    try:
        if name in ("log_json", "strict_search", "oidc_require_email_verified"):
            return _truth(value)
        if name in (
            *("port", "workers", "retention_days", "max_operations", "session_hours", "failed_sign_ins_per_minute"),
            *("upload_min_bytes_per_second", "upload_max_seconds"),
        ):
            if isinstance(value, str) and value.isascii() and value.isdigit():
                value = int(value)
            if type(value) is not int or not 0 <= value <= 65535:
                raise ValueError
            return value
        if name in ("locations", "admins", "trusted_proxies", "accept_without_effect"):
            listed = tuple(part.strip() for part in (value.split(",") if isinstance(value, str) else value))
            if name == "trusted_proxies":
                Proxies(listed)
            return known_names(listed) if name == "accept_without_effect" else listed
        if name == "bucket_rules":
            return tuple(map(BucketRule.parse, value))
        if name == "custom_roles":
            return {str(role): tuple(map(str, held)) for role, held in value.items()}
        if name == "storage_classes":
            return _directories(value)
        return str(value)
    except (TypeError, ValueError, AttributeError):
        raise InvalidArgument(f"{name}: {value!r} is not a value it can have") from None


def _truth(value: Any) -> bool:
    """Raises ValueError."""
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    found = words.get(str(value).lower())
    if found is None:
        raise ValueError
    return found


def _directories(value: Any) -> dict[str, str]:
    """Storage class → absolute directory, from a table or ``CLASS=DIRECTORY,…``. Raises ValueError, TypeError."""
    pairs = [part.split("=", 1) for part in value.split(",") if part] if isinstance(value, str) else value.items()
    found = {}
    for storage_class, directory in pairs:
        if storage_class not in list(BlobStorageClass) or not isinstance(directory, str) or not directory:
            raise ValueError
        found[storage_class] = str(Path(directory).absolute())
    return found


class DataDirectory:
    """The directory of one server: index, blobs, buckets. Held by one process and its workers at a time."""

    def __init__(self, settings: Settings) -> None:
        self.path = Path(settings.data).absolute()
        for path in (self.path, self.path / "blobs", settings.buckets_path):
            path.mkdir(parents=True, exist_ok=True)
        self.lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._acquire()
        try:
            keep_places(self.path, settings.storage_classes)
        except BaseException:
            self.close()
            raise

    def _acquire(self, seconds: float = 10.0) -> None:
        # Workers hold the lock too: after kill -9 the next server waits here until the last of them has ended.
        deadline = time.monotonic() + seconds
        while True:
            try:
                return fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(self.lock)
                    raise FailedPrecondition(
                        f"{self.path} is in use by another gantry server; stop it or choose another --data directory"
                    ) from None
                time.sleep(0.05)

    def close(self) -> None:
        os.close(self.lock)


def open_seams(settings: Settings, directory: DataDirectory) -> Seams:
    """One machine: SQLite, directories, a process pool."""
    blobs: dict[str, BlobStore] = {
        place: LocalBlobStore(root, write_once=True)
        for place, root in ({MAIN: str(directory.path / "blobs")} | dict(settings.storage_classes)).items()
    }
    # More workers than a small machine has cores: while one waits for the disk another reads and copies.
    workers = settings.workers or max(4, min(os.cpu_count() or 1, 16))
    return Seams(
        index=SqlIndex(f"sqlite:///{directory.path / 'index.sqlite'}"),
        blobs=PlacedBlobStore(blobs),
        bucket=partial(open_bucket, str(settings.buckets_path), settings.bucket_rules),
        executor=WorkerPool(workers, keep_open=(directory.lock,)),
        pixels=WorkerPool(max(2, min(os.cpu_count() or 1, 16)), keep_open=(directory.lock,), lazy=True),
        window=workers * 2,
        places=tuple(blobs),
        retention_days=settings.retention_days,
        buckets=partial(list_buckets, str(settings.buckets_path), settings.bucket_rules),
    )


def list_buckets(root: str, rules: Sequence[BucketRule], dataset: str, right: str) -> list[str]:
    """The directories below ``root`` whose names a bucket can have."""
    names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    return [name for name in names if is_bucket_name(name) and may_use(rules, name, right, dataset)]


def open_bucket(root: str, rules: Sequence[BucketRule], use: BucketUse) -> LocalBlobStore:
    """``gs://name`` as a directory below ``root``. Raises PermissionDenied, then NotFound."""
    require(rules, use)
    bucket = LocalBlobStore(os.path.join(root, use.bucket), use.writer)
    if not bucket.exists():
        # Where buckets lie is for whoever runs the server, not for callers.
        logger.warning(
            "bucket gs://%s does not exist (operation %s of %s): its directory would be %s",
            *(use.bucket, use.writer or "none", use.dataset, os.path.join(root, use.bucket)),
        )
        raise NotFound(f"bucket gs://{use.bucket} does not exist; whoever runs the server can create it")
    return bucket
