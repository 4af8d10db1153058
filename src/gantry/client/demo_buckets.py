"""The buckets of ``gantry demo``: directories, or buckets of an emulator of S3 that runs in this process."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import httpx

from gantry.errors import FailedPrecondition
from gantry.languages import N_, _
from gantry.sizes import format_number

IN, OUT, STORED = "demo-in", "demo-out", "demo-stored"
_EMULATOR = "'moto[server,s3]'"
_LIBRARIES = ("moto", "flask", "obstore", "botocore")
_ENTRY = """\
[[remote_buckets]]
name = "{name}"
provider = "s3"
endpoint = "{url}"
access_key_id = "gantry-demo"
secret_access_key = "gantry-demo"
"""
_OWN = (
    ('blobs = "s3://hospital-dicom"', N_("only where stored instances are to lie in a bucket, too")),
    ("", ""),
    ("[[remote_buckets]]", ""),
    ('name = "s3://hospital-*"', N_("your buckets; * and ? stand for several")),
    ('region = "eu-west-3"', N_('or endpoint = "https://minio.example.org:9000"')),
    ('access_key_id = "…"', N_('or profile = "…"; without both what Amazon\'s tools find')),
    ('secret_access_key = "…"', ""),
)
"""Lines of a file of settings, each with a remark."""


class DemoBuckets(Protocol):
    """``config`` is the file of settings that the server needs for them, if any. ``names`` say what is where."""

    scheme: str
    config: Path | None

    def put(self, key: str, data: bytes) -> None: ...
    def read(self, prefix: str) -> dict[str, bytes]: ...
    def names(self) -> Sequence[tuple[str, str]]: ...


class _Directories:
    scheme = "gs"
    config: Path | None = None

    def __init__(self, root: Path) -> None:
        self._in, self._out = root / IN, root / OUT
        self._out.mkdir()

    def put(self, key: str, data: bytes) -> None:
        path = self._in / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def read(self, prefix: str) -> dict[str, bytes]:
        folder = self._out / prefix
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def names(self) -> Sequence[tuple[str, str]]:
        return ((_("what went in"), str(self._in)), (_("what came out"), str(self._out / "export")))


class _EmulatedS3:
    """Reached as the server reaches them, by the same settings."""

    scheme = "s3"
    config: Path | None

    def __init__(self, url: str, folder: Path) -> None:
        from gantry.config import make_buckets
        from gantry.settings.loading import load_settings

        for name in (IN, OUT, STORED):
            _make_bucket(f"{url}/{name}")
        config = folder / "gantry.toml"
        self.url, self.config = url, config
        # Clients of Google say gs:// to a bucket of S3.
        entries = "\n".join(_ENTRY.format(name=name, url=url) for name in ("s3://demo-*", "gs://demo-*"))
        config.write_text(f'blobs = "s3://{STORED}"\n\n{entries}')
        places = {"data": str(folder / "data"), "buckets": str(folder / "buckets")}
        buckets = make_buckets(load_settings(places, {}, str(config)))
        self._in, self._out, self._stored = (buckets.reach(f"s3://{name}", "demo") for name in (IN, OUT, STORED))

    def put(self, key: str, data: bytes) -> None:
        self._in.put(key, [data])

    def read(self, prefix: str) -> dict[str, bytes]:
        found = {}
        for each in self._out.list(f"{prefix}/"):
            with self._out.open_found(each) as opened:
                found[each.key.removeprefix(f"{prefix}/")] = b"".join(opened.chunks())
        return found

    def _count_stored(self) -> int:
        """Objects with instances; small ones share them. The files about the bucket stand beside them."""
        return sum("/" in each.key for each in self._stored.list())

    def names(self) -> Sequence[tuple[str, str]]:
        stored = _("{url} ({count} objects, the index in data)")
        count = format_number(self._count_stored())
        return (
            (_("the S3 server"), _("{url} (moto, in memory)").format(url=self.url)),
            (_("what went in"), f"{self.url}/{IN}?list-type=2"),
            (_("what came out"), f"{self.url}/{OUT}?list-type=2"),
            (_("what is stored"), stored.format(url=f"{self.url}/{STORED}?list-type=2", count=count)),
            (_("the settings"), str(self.config)),
        )


def _make_bucket(url: str) -> None:
    try:
        httpx.put(url, trust_env=False).raise_for_status()
    except httpx.HTTPError:
        advice = _("install it anew: {command}").format(command=f"pip install {_EMULATOR}")
        raise FailedPrecondition(_("the emulator of S3 makes no bucket"), advice=advice) from None


@contextmanager
def open_buckets(kind: str, folder: Path) -> Iterator[DemoBuckets]:
    """Empty ones, for the time of the block."""
    (folder / "buckets").mkdir()
    if kind == "s3":
        with _run_emulator() as url:
            yield _EmulatedS3(url, folder)
    else:
        yield _Directories(folder / "buckets")


def require_libraries(kind: str) -> None:
    """Raises FailedPrecondition where this kind of buckets needs what is not installed."""
    if kind == "s3" and not all(map(find_spec, _LIBRARIES)):
        problem = _("the demo with S3 needs moto, an emulator of S3, and the libraries of S3: {command}")
        raise FailedPrecondition(problem.format(command=f"pip install 'gantry-dicom[demo,s3]' {_EMULATOR}"))


@contextmanager
def _run_emulator() -> Iterator[str]:
    """The address of an S3 server without buckets. It ends with this process, however that ends."""
    from moto.server import ThreadedMotoServer

    _forget_surroundings()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it prints every request
    emulator = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    emulator.start()
    try:
        host, port = emulator.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        emulator.stop()


def _forget_surroundings() -> None:
    """Profiles of Amazon's tools and proxies in the environment are not for the emulator, nor for who uses it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"


def describe_own_bucket(program: str) -> Sequence[str]:
    """Lines that say how to use a bucket of one's own in place of the emulator's."""
    return (
        _("write gantry.toml (chmod 600):"),
        *(f"  {line:<50}# {_(remark)}" if remark else f"  {line}".rstrip() for line, remark in _OWN),
        f"{program} buckets check s3://hospital-in --config gantry.toml",
        f"{program} serve --config gantry.toml",
        f"{program} stores create demo/main",
        f"{program} import 's3://hospital-in/**' --store demo/main",
        _("all keys, the rights that the server needs, Google and Azure: {page}").format(page="docs/howto/buckets.md"),
    )
