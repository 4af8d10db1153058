"""Servers of each provider: the tests' own, and in the slow run those that others have written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple
from uuid import uuid4

import httpx
import pytest

from gantry.storage.remote.place import RemotePlace
from tests.support import azure_places, gcs_places, s3_places
from tests.support.azure_places import AzureServer, serve_azurite
from tests.support.gcs_server import GcsServer
from tests.support.s3_server import S3Server

OWN = ["s3", "gcs", "azure"]
OTHERS = ["moto", "fake-gcs-server", "azurite"]
SERVERS = [*OWN, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]


class Server(NamedTuple):
    """``forgets_class``: of what is uploaded in parts, or copied. ``hides_bucket``: it says of a missing one what it
    says of a missing object."""

    provider: str
    url: str
    forgets_class: bool = False
    hides_bucket: bool = False


@contextmanager
def serve(name: str) -> Iterator[Server]:
    """The provider, and the address of a server that speaks its protocol."""
    with ExitStack() as stack:
        if name in OWN:
            kind = {"s3": S3Server, "gcs": GcsServer, "azure": AzureServer}[name]
            yield Server(name, stack.enter_context(kind()).url)
        elif name == "moto":
            yield Server("s3", stack.enter_context(s3_places.serve_s3()))
        elif name == "azurite":
            yield Server("azure", stack.enter_context(serve_azurite()))
        else:
            yield Server("gcs", stack.enter_context(gcs_places.serve_gcs()), forgets_class=True, hides_bucket=True)


def make_place(server: Server) -> RemotePlace:
    """A new and empty bucket."""
    provider, url = server.provider, server.url
    name = f"b-{uuid4().hex}"
    if provider == "azure":
        return azure_places.make_container(url).place
    if provider == "gcs":
        if httpx.post(f"{url}/storage/v1/b?project=p", json={"name": name}).status_code != 200:
            assert httpx.put(f"{url}/{name}").status_code == 200
        return gcs_places.make_place(url, name)
    assert httpx.put(f"{url}/{name}").status_code == 200
    return s3_places.make_place(url, name)
