"""The settings of a server: read from flags, the environment and a TOML file, and checked together."""

from __future__ import annotations

import os
import re
import ssl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from gantry.access.addresses import LOOPBACK
from gantry.api.server_facts import Source
from gantry.engines.addresses import DASK, Certificates, Engine, parse_engine
from gantry.errors import InvalidArgument
from gantry.settings.groups import (
    SQLITE,
    AccessSettings,
    ApiSettings,
    EngineSettings,
    ServerSettings,
    StorageSettings,
)
from gantry.settings.oidc import OidcSettings
from gantry.settings.own_bucket import OwnBucket, check_own_bucket, find_own_bucket
from gantry.settings.setting import Setting, read_value, settings_of
from gantry.settings.table_group import TableSettings
from gantry.system_errors import describe_os_error

_TOML_PLACE, _TOML_END = re.compile(r"at line (\d+), column (\d+)"), re.compile("at end of document")
_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - refused without public_url


@dataclass(frozen=True)
class Settings(
    OidcSettings, AccessSettings, ApiSettings, TableSettings, StorageSettings, EngineSettings, ServerSettings
):
    """All settings. Each may come from a flag, from ``GANTRY_NAME``, or from ``name`` in the TOML file."""

    emulates: ClassVar[bool] = False
    """No setting, so that no file and no variable turns authentication off for who can reach the server."""

    @property
    def url(self) -> str:
        """Base of every address that the server prints or sends."""
        name = "127.0.0.1" if self.host in _EVERYWHERE else self.host
        host = f"[{name}]" if ":" in name else name
        return self.public_url.rstrip("/") or f"http{'s' if self.tls_cert else ''}://{host}:{self.port}"

    @property
    def buckets_path(self) -> Path:
        """The directory of the buckets."""
        return Path(self.buckets).absolute() if self.buckets else Path(self.data).absolute() / "buckets"

    @property
    def engine(self) -> Engine | None:
        """What ``executor`` names; None for the process pool."""
        return parse_engine(self.executor)

    @property
    def engine_certificates(self) -> Certificates:
        return Certificates(self.executor_ca, self.executor_cert, self.executor_key)

    @property
    def own_bucket(self) -> OwnBucket | None:
        """What ``blobs`` names; None where the instances lie in directories. Raises InvalidArgument."""
        return find_own_bucket(self.blobs, self.storage_tiers, self.remote_buckets)

    @property
    def shares(self) -> bool:
        """Whether several servers may use the index and the stored instances: both are where each of them comes to.
        Raises InvalidArgument."""
        return self.database != SQLITE and self.own_bucket is not None and not self.storage_classes


class EmulatorSettings(Settings):
    """Those of ``gantry emulator``, which listens on any address without authentication."""

    emulates = True


def load_settings(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    file: str = "",
    kind: type[Settings] = Settings,
    defaults: Mapping[str, Any] | None = None,
) -> Settings:
    """Flags win over the environment, the environment over the file, the file over ``defaults``, and these over those
    of the settings. Raises InvalidArgument naming the setting."""
    values, known = _gather(flags, environ, file, defaults or {}), settings_of(Settings)
    settings = kind(**{name: read_value(name, known[name], value) for name, (value, _) in values.items()})
    _check_access(settings)
    _check_addresses(settings)
    _check_files(settings)
    _check_runner(settings)
    _check_engine(settings)
    _require_whole_contact(settings)
    check_own_bucket(settings.own_bucket, settings.storage_classes, settings.layout)
    return settings


def find_sources(
    flags: Mapping[str, Any], environ: Mapping[str, str], file: str = "", defaults: Mapping[str, Any] | None = None
) -> dict[str, Source]:
    """Where the value of each setting comes from that ``load_settings`` finds; all others have their default. Raises
    InvalidArgument where the file cannot be read."""
    return {name: source for name, (_, source) in _gather(flags, environ, file, defaults or {}).items()}


def _gather(
    flags: Mapping[str, Any], environ: Mapping[str, str], file: str, defaults: Mapping[str, Any]
) -> dict[str, tuple[Any, Source]]:
    """What is set, as it stands there, and where."""
    found = {name: (value, Source.DEFAULT) for name, value in defaults.items()}
    found |= {name: (value, Source.FILE) for name, value in (_read_file(file) if file else {}).items()}
    for name, about in settings_of(Settings).items():
        text = environ.get(f"GANTRY_{name.upper()}")
        if text is not None and _says_something(text, getattr(_DEFAULTS, name), about):
            found[name] = (text if text.strip() else "", Source.ENVIRONMENT)
        if flags.get(name) is not None:
            found[name] = (flags[name], Source.OPTION)
    return found


_DEFAULTS = Settings()


def _says_something(text: str, default: Any, about: Setting) -> bool:
    """Compose files set variables that have no value. Such a one counts where no value is a value: an empty list."""
    if text.strip():
        return True
    try:
        return not default and bool(about.reader.read("") == default)
    except (TypeError, ValueError, AttributeError, InvalidArgument):
        return False


CLIENT_VARIABLES = ("CONFIG", "SERVER", "TOKEN", "PROJECT", "LOCATION", "STORE", "PROGRAM")
"""Of commands, and no settings of a server; after GANTRY_."""


def find_unknown(environ: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and are none: a misspelt one would be ignored in silence."""
    known = {name.upper() for name in settings_of(Settings)} | set(CLIENT_VARIABLES)
    names = [name for name in environ if name.startswith("GANTRY_")]
    return sorted(name for name in names if name.removeprefix("GANTRY_") not in known)


def _read_file(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise InvalidArgument(f"{path}: cannot be read: {describe_os_error(error)}") from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"{path}: cannot be read as TOML{_place_of(error)}") from None
    except ValueError:
        raise InvalidArgument(f"{path}: cannot be read as TOML: it is not UTF-8 text") from None
    unknown = values.keys() - settings_of(Settings).keys()
    if unknown:
        raise InvalidArgument(f"{path}: unknown setting {', '.join(sorted(unknown))}")
    return values


def _place_of(error: tomllib.TOMLDecodeError) -> str:
    """Where the TOML is wrong, if the library says it."""
    place = _TOML_PLACE.search(str(error))
    if place:
        return f" at line {place[1]}, column {place[2]}"
    return ": it ends too early" if _TOML_END.search(str(error)) else ""


def _check_access(settings: Settings) -> None:
    if settings.emulates and settings.auth != "none":
        raise InvalidArgument("auth: an emulator authenticates nobody; use `gantry serve`")
    if settings.auth == "none" and not settings.emulates and settings.host not in LOOPBACK:
        raise InvalidArgument(
            f"host: {settings.host!r} is not a loopback address, and with auth = none callers are not authenticated. "
            "Set auth = required, or listen on 127.0.0.1 behind a proxy that authenticates"
        )
    if settings.auth == "none" and (settings.tokens_file or settings.oidc_issuer or settings.admins):
        raise InvalidArgument("auth: is none, so tokens are not checked; set auth = required")
    if settings.audit_required and not settings.audit_log:
        raise InvalidArgument("audit_required: needs audit_log, the file to write to")
    if settings.oidc_client_id and not settings.oidc_issuer:
        raise InvalidArgument("oidc_client_id: needs oidc_issuer, at which browsers sign in")
    if settings.oidc_issuer and not settings.oidc_audience:
        raise InvalidArgument("oidc_audience: is needed with oidc_issuer: tokens for other audiences are refused")


def _check_addresses(settings: Settings) -> None:
    if settings.host in _EVERYWHERE and not (settings.public_url or settings.emulates):
        raise InvalidArgument(
            f"public_url: is needed with host {settings.host!r}, which is not an address that clients can use"
        )
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise InvalidArgument("tls_cert, tls_key: are needed together")


def _check_runner(settings: Settings) -> None:
    if not settings.runner and not settings.shares:
        raise InvalidArgument(
            "runner: is false, and no other server could run the operations of this one: that needs database, the "
            "address of a database of PostgreSQL, and blobs, a bucket for all storage classes"
        )


def _check_engine(settings: Settings) -> None:
    engine, files = settings.engine, settings.engine_certificates
    if engine is not None and engine.is_tls and not all(files):
        raise InvalidArgument("executor: dask+tls:// needs executor_ca, executor_cert and executor_key")
    if any(files) and not (engine is not None and engine.is_tls):
        raise InvalidArgument("executor_ca, executor_cert, executor_key: need dask+tls:// in executor")
    listens = engine is not None and engine.name == DASK
    if not listens and (settings.worker_host or settings.worker_port or settings.worker_contact):
        raise InvalidArgument("worker_host, worker_port, worker_contact: need dask:// or dask+tls:// in executor")


def _require_whole_contact(settings: Settings) -> None:
    if settings.worker_contact and not settings.worker_port:
        raise InvalidArgument("worker_contact: needs worker_port, which others reach there")


def _require_readable(name: str, path: str) -> None:
    if not path:
        return
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    except (OSError, ValueError) as error:
        reason = describe_os_error(error) if isinstance(error, OSError) else "this is not a path"
        raise InvalidArgument(f"{name} {path}: cannot be read: {reason}") from None


def _check_files(settings: Settings) -> None:
    """Raises InvalidArgument for files that could not be read later."""
    for name in ("tokens_file", "tls_cert", "tls_key", "executor_ca", "executor_cert", "executor_key"):
        _require_readable(name, getattr(settings, name))
    for each in settings.remote_buckets:
        for name in ("ca_file", "credentials_file"):
            _require_readable(f"remote_buckets: {name} of {each.name!r}", getattr(each.place, name))
    if settings.tls_cert:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key, password="")
        except (OSError, ValueError):
            raise InvalidArgument(
                f"tls_cert {settings.tls_cert}, tls_key {settings.tls_key}: must be a certificate chain in PEM and the "
                "private key of its first certificate, without a password"
            ) from None
