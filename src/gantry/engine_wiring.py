"""Wiring of the executor: the process pool, or an engine, and what of a call travels to the machines of an engine."""

from __future__ import annotations

import copyreg
import os
import pickle
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache, partial
from importlib.util import find_spec
from io import BytesIO
from typing import Any

from gantry.engines.addresses import DASK, RAY, Certificates, Engine
from gantry.engines.links import Connect
from gantry.engines.workers import EngineWorkers
from gantry.errors import FailedPrecondition
from gantry.settings.loading import Settings, load_settings
from gantry.storage.remote.notes import UploadNotes
from gantry.storage.remote.place import RemotePlace
from gantry.storage.remote_buckets import RemoteBuckets, find_remote
from gantry.worker_calls import Workers

FILE = "GANTRY_CONFIG"
"""The variable that names the settings file: a worker's processes find their credentials there."""

_LIBRARIES = {DASK: ("distributed",), RAY: ("ray", "grpc")}

_SECRETS = ("secret_access_key", "session_token", "account_key", "sas_token")
_SAYS_HOW = (*_SECRETS, "profile", "anonymous", "instance_metadata", "credentials_file")
_CREDENTIALS = (
    *("profile", "access_key_id", *_SECRETS, "anonymous", "instance_metadata", "ca_file"),
    *("credentials_file", "billing_project"),
)
"""What a worker takes from its own settings; the rest says which bucket it is, and comes from the server."""


def require_engine(settings: Settings) -> None:
    """Raises FailedPrecondition where the libraries of the engine are not installed."""
    engine = settings.engine
    if engine is not None and any(find_spec(each) is None for each in _LIBRARIES[engine.name]):
        raise FailedPrecondition(
            f"executor: {settings.executor} needs libraries that are not installed: "
            f"`pip install 'gantry-dicom[{engine.name}]'`"
        )


def open_engine(settings: Settings) -> Workers | None:
    """None where the executor is the process pool."""
    engine = settings.engine
    if engine is None:
        return None
    require_engine(settings)
    return EngineWorkers(_find_connect(engine, settings.engine_certificates), engine.scheduler, dumps)


def _find_connect(engine: Engine, certificates: Certificates) -> Connect:
    if engine.name == RAY:
        from gantry.engines.ray_link import connect as connect_to_ray

        return partial(connect_to_ray, engine)
    from gantry.engines.dask_link import connect

    return partial(connect, engine, certificates)


def dumps(value: Any) -> bytes:
    """Pickle a call for another machine: without secrets, which the worker has in its own settings, and without the
    notes of uploads, whose directory it does not have."""
    written = BytesIO()
    pickler = pickle.Pickler(written, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = copyreg.dispatch_table | _REDUCERS
    pickler.dump(value)
    return written.getvalue()


def _reduce_place(place: RemotePlace) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    has_secret = any(getattr(place, name) for name in _SECRETS)
    return complete_place, (asdict(place) | dict.fromkeys(_SECRETS, ""), has_secret)


def _reduce_notes(_notes: UploadNotes) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    return _no_notes, ()


_REDUCERS: dict[type, Callable[[Any], Any]] = {RemotePlace: _reduce_place, UploadNotes: _reduce_notes}


def _no_notes() -> None:
    return None


def complete_place(values: dict[str, Any], has_secret: bool) -> RemotePlace:
    """On a worker: the bucket of a server with the worker's own credentials. Raises FailedPrecondition where the server
    has a key in its settings, and the worker none."""
    place = RemotePlace(**values)
    own = find_remote(_read_own_buckets(), place.address)
    if own is not None and own.provider == place.provider:
        place = replace(place, **{name: getattr(own, name) for name in _CREDENTIALS})
    if has_secret and not any(getattr(place, name) for name in _SAYS_HOW):
        raise FailedPrecondition(
            f"{place.address}: the settings of a worker have no key for this bucket, and those of the server do",
            advice="give the settings of the workers the same entries in remote_buckets",
        )
    return place


@cache
def _read_own_buckets() -> tuple[RemoteBuckets, ...]:
    return load_settings({}, os.environ, os.environ.get(FILE, "")).remote_buckets
