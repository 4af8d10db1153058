"""``gantry viewer install``: OHIF out of the npm registry into the data directory."""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import re
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

import httpx

from gantry.client.terminal import note
from gantry.errors import FailedPrecondition, InvalidArgument, Unavailable

PACKAGE, VERSION = "@ohif/app", "3.13.2"
INTEGRITY = {VERSION: "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="}
"""What the registry says of the versions that were tried; of others it is asked."""

_ROOT = PurePosixPath("package/dist")
_LEFT_OUT = ("ort",)
_ROOT_ADDRESS = re.compile(rb'(\b__webpack_require__\.p\s*=\s*"|\burl\()/(?=["a-zA-Z0-9])')
"""Where scripts and styles look for more of themselves: they were built for the root of a host."""

_MAX_FILES, _MAX_BYTES = 5000, 1 << 30


def install(args: argparse.Namespace) -> int:
    """Put the viewer where the server looks for it; a running server has it at once."""
    data = Path(args.data or os.environ.get("GANTRY_DATA") or "gantry-data").absolute()
    data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data, prefix="viewer-") as scratch:
        archive = Path(args.source) if args.source else _download(args.version, Path(scratch) / "viewer.tgz")
        files, size = _unpack(archive, Path(scratch) / "dist")
        target = data / "viewer"
        if target.exists():
            target.rename(Path(scratch) / "old")
        (Path(scratch) / "dist").rename(target)
    note(f"{files:,} files, {size / 1e6:,.0f} MB in {target}")
    port = os.environ.get("GANTRY_PORT") or 8080
    print(f"installed OHIF; with the server running it is at http://127.0.0.1:{port}/viewer/")
    return 0


def _download(version: str, target: Path) -> Path:
    """Raises Unavailable, or FailedPrecondition for bytes that are not what the registry promised."""
    registry = (os.environ.get("NPM_CONFIG_REGISTRY") or "https://registry.npmjs.org").rstrip("/")
    try:
        with httpx.Client(timeout=60, follow_redirects=True) as client:
            found = client.get(f"{registry}/{PACKAGE}/{version}")
            if found.status_code == 404:
                raise InvalidArgument(f"{PACKAGE} has no version {version[:50]}")
            dist = found.raise_for_status().json()["dist"]
            note(f"fetching {PACKAGE} {version} from {registry}")
            digest = hashlib.sha512()
            with client.stream("GET", dist["tarball"]) as answer, open(target, "wb") as file:
                for chunk in answer.raise_for_status().iter_bytes(1 << 20):
                    digest.update(chunk)
                    file.write(chunk)
    except (httpx.HTTPError, KeyError, ValueError) as error:
        raise Unavailable(
            f"{registry} cannot be reached or gives no {PACKAGE}: {error}; "
            "download the package elsewhere and name the file with --from"
        ) from None
    if f"sha512-{base64.b64encode(digest.digest()).decode()}" != INTEGRITY.get(version, dist.get("integrity")):
        raise FailedPrecondition(f"{PACKAGE} {version} is not what it should be (SHA-512); nothing was installed")
    return target


def _unpack(archive: Path, target: Path) -> tuple[int, int]:
    """Plain files below ``package/dist`` and nothing else; their number and bytes."""
    files = size = 0
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if not member.isfile() or path.parts[:2] != _ROOT.parts or ".." in path.parts:
                    continue
                inside = path.relative_to(_ROOT)
                if inside.parts[0] in _LEFT_OUT or inside.suffix == ".map":
                    continue
                files, size = files + 1, size + member.size
                if files > _MAX_FILES or size > _MAX_BYTES:
                    raise InvalidArgument(f"{archive} holds more than a viewer does")
                source = tar.extractfile(member)
                assert source is not None  # noqa: S101 - it is a file
                (target / inside).parent.mkdir(parents=True, exist_ok=True)
                with open(target / inside, "wb") as file:
                    if inside.suffix in (".js", ".css"):
                        file.write(_ROOT_ADDRESS.sub(rb"\1/viewer/", source.read()))
                    else:
                        shutil.copyfileobj(source, file, 1 << 20)
    except (OSError, tarfile.TarError, EOFError) as error:
        raise InvalidArgument(f"{archive} cannot be read as a package: {error}") from None
    if not (target / "index.html").is_file():
        raise InvalidArgument(f"{archive} is no built viewer: there is no {_ROOT}/index.html in it")
    return files, size
