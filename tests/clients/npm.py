"""Packages out of the npm registry, and a page at another address that uses them in headless Chromium."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.missing import not_tested


def fetch(package: str, member: str, target: Path) -> None:
    """Write a file of a package, ``name@version``, by ``npm pack``."""
    if not shutil.which("npm"):
        not_tested(f"npm is not installed, so nothing here shows that {package} works")
    directory = target.parent / package.replace("/", "-")
    directory.mkdir()
    done = subprocess.run(["npm", "pack", package], cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        not_tested(f"npm cannot fetch {package}: {done.stderr[-300:]}")
    (archive,) = directory.glob("*.tgz")
    with tarfile.open(archive) as tar:
        file = tar.extractfile(f"package/{member}")
        assert file is not None
        target.write_bytes(file.read())


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: the output of a test is for what is wrong."""


@contextmanager
def pages(directory: Path) -> Iterator[int]:
    """The port of a web server for the files of a directory, at every name of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
