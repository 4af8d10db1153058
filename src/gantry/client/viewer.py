"""``gantry viewer install``: OHIF from the npm registry into the data directory."""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from gzip import BadGzipFile
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import quote

import httpx
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from gantry.client.terminal import console, note, say
from gantry.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, Unavailable
from gantry.languages import _, ngettext
from gantry.names import check_segments
from gantry.sizes import format_number, format_size
from gantry.system_errors import describe_os_error

PACKAGE, VERSION = "@ohif/app", "3.13.2"
INTEGRITY = {VERSION: "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="}
"""The digests of tested versions, from the registry; other versions are checked against what the registry answers."""

_ROOT = PurePosixPath("package/dist")
_LEFT_OUT = ("ort",)
_ROOT_ADDRESS = re.compile(
    rb"""(\b__webpack_require__\.p\s*=\s*"|\bbrowserImportFunction\(['"]|\burl\()/(?=["a-zA-Z0-9])"""
)
"""Addresses in scripts and styles that were built for the root of a host; ``/viewer/`` goes before them."""

_MAX_FILES, _MAX_BYTES, _MAX_PACKAGE, _MAX_PADDING = 5000, 1 << 30, 1 << 28, 1 << 20
"""Several times what OHIF has: files, their bytes, bytes of the package, and of zeros at its end."""


def install(args: argparse.Namespace) -> int:
    """Install the viewer in the data directory; a running server serves it at once.

    Raises what ``_download`` and ``_unpack`` raise, and ResourceExhausted if the data directory cannot be written. The
    old viewer then stays.
    """
    data = Path(args.data or os.environ.get("GANTRY_DATA") or "gantry-data").absolute()
    target = data / "viewer"
    try:
        data.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=data, prefix="viewer-") as scratch:
            archive = Path(args.source) if args.source else _download(args.version, Path(scratch) / "viewer.tgz")
            files, size = _unpack(archive, Path(scratch) / "dist")
            _replace(target, Path(scratch))
    except OSError as error:
        problem = _("{path}: {reason}; nothing was installed")
        reason = _(describe_os_error(error))
        raise ResourceExhausted(problem.format(path=error.filename or data, reason=reason)) from None
    text = ngettext("{count} file, {size} in {folder}", "{count} files, {size} in {folder}", files)
    note(text.format(count=format_number(files), size=format_size(size), folder=target))
    url = f"http://127.0.0.1:{os.environ.get('GANTRY_PORT') or 8080}/viewer/"
    say(_("OHIF is installed. When the server runs, it is at {url}").format(url=url))
    return 0


def _replace(target: Path, scratch: Path) -> None:
    """Move ``scratch/dist`` to ``target``. Raises OSError; the old viewer then stays."""
    old = scratch / "old"
    if target.exists():
        target.rename(old)
    try:
        (scratch / "dist").rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise


def _download(version: str, target: Path) -> Path:
    """Raises Unavailable, InvalidArgument for an unknown version, FailedPrecondition for a wrong digest."""
    check_segments(version)
    registry = (os.environ.get("NPM_CONFIG_REGISTRY") or "https://registry.npmjs.org").rstrip("/")
    try:
        with httpx.Client(timeout=60, follow_redirects=True) as client:
            answer = client.get(f"{registry}/{PACKAGE}/{quote(version, safe='')}")
            if answer.status_code == 404:
                problem = _("{package} has no version {version}")
                raise InvalidArgument(problem.format(package=PACKAGE, version=version[:50]))
            dist = answer.raise_for_status().json()["dist"]
            expected = INTEGRITY.get(version) or dist["integrity"]
            text = _("fetching {package} {version} from {registry}")
            note(text.format(package=PACKAGE, version=version, registry=registry))
            with client.stream("GET", dist["tarball"]) as body, open(target, "wb") as file:
                digest = _save(body.raise_for_status(), file)
    except (httpx.HTTPError, httpx.InvalidURL, KeyError, TypeError, ValueError) as error:
        raise Unavailable(
            _describe_failure(error).format(registry=registry, package=PACKAGE),
            advice=_("download the package elsewhere and name the file with --from"),
        ) from None
    if f"sha512-{base64.b64encode(digest).decode()}" != expected:
        problem = _("{package} {version} has a wrong SHA-512 digest; nothing was installed")
        raise FailedPrecondition(problem.format(package=PACKAGE, version=version))
    return target


def _describe_failure(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        text = _("{registry} cannot be reached, or has no {package}: it answers {code}")
        return text.replace("{code}", str(error.response.status_code))
    return _("{registry} cannot be reached, or has no {package}")


def _save(answer: httpx.Response, file: IO[bytes]) -> bytes:
    """Write the body and return its SHA-512. Raises FailedPrecondition after ``_MAX_PACKAGE`` bytes."""
    digest, size = hashlib.sha512(), 0
    length = answer.headers.get("content-length", "")
    screen = console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(28), DownloadColumn()
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as bar:
        task = bar.add_task(_("download"), total=int(length) if length.isdecimal() else None)
        for chunk in answer.iter_bytes(1 << 20):
            size += len(chunk)
            if size > _MAX_PACKAGE:
                problem = _("{package} is larger than {most} bytes; nothing was installed")
                raise FailedPrecondition(problem.format(package=PACKAGE, most=format_number(_MAX_PACKAGE)))
            digest.update(chunk)
            file.write(chunk)
            bar.update(task, completed=size)
    return digest.digest()


def _unpack(archive: Path, target: Path) -> tuple[int, int]:
    """Unpack the plain files below ``package/dist``; their number and bytes.

    Raises InvalidArgument for an archive that is not a built viewer, OSError if ``target`` cannot be written.
    """
    files = size = read = 0
    try:
        with _open_archive(archive) as tar:
            for number, member in enumerate(tar):
                read += member.size
                if number >= _MAX_FILES or read > _MAX_BYTES:
                    raise InvalidArgument(_("{path} is larger than a viewer").format(path=archive))
                if (inside := _path_in_viewer(member)) is not None:
                    _write(tar, member, target / inside)
                    files, size = files + 1, size + member.size
            _read_to_end(tar)
    except (tarfile.TarError, BadGzipFile, EOFError, ValueError, zlib.error):
        raise InvalidArgument(_not_a_package(archive, _("it is not a complete .tgz file"))) from None
    if not (target / "index.html").is_file():
        problem = _("{path} is not a built viewer: it has no {file}")
        raise InvalidArgument(problem.format(path=archive, file=f"{_ROOT}/index.html"))
    return files, size


def _open_archive(archive: Path) -> tarfile.TarFile:
    """Raises InvalidArgument for a file that cannot be opened, TarError for a file that is not an archive."""
    try:
        return tarfile.open(archive, "r:gz")
    except BadGzipFile:
        raise InvalidArgument(_not_a_package(archive, _("it is not a complete .tgz file"))) from None
    except OSError as error:
        raise InvalidArgument(_not_a_package(archive, _(describe_os_error(error)))) from None


def _not_a_package(archive: Path, reason: str) -> str:
    return _("{path} cannot be read as a package: {reason}").format(path=archive, reason=reason)


def _read_to_end(tar: tarfile.TarFile) -> None:
    """Read to the checksum of gzip at the end, where tarfile does not go. Raises BadGzipFile, EOFError, TarError."""
    source = tar.fileobj
    if source is None or (len(source.read(_MAX_PADDING)) == _MAX_PADDING and source.read(1)):
        raise tarfile.ReadError("there is data after the end of the archive")


def _path_in_viewer(member: tarfile.TarInfo) -> PurePosixPath | None:
    """The path of a member below the viewer's directory; None for a member that is not needed."""
    path = PurePosixPath(member.name)
    if not member.isfile() or path.parts[:2] != _ROOT.parts or ".." in path.parts or path == _ROOT:
        return None
    inside = path.relative_to(_ROOT)
    return None if inside.parts[0] in _LEFT_OUT or inside.suffix == ".map" else inside


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    """Raises OSError, TarError."""
    source = tar.extractfile(member)
    assert source is not None  # noqa: S101 - it is a file
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "wb") as file:
        if target.suffix in (".js", ".css"):
            file.write(_ROOT_ADDRESS.sub(rb"\1/viewer/", source.read()))
        else:
            shutil.copyfileobj(source, file, 1 << 20)
