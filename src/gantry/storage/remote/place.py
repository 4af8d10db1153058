"""What the settings say of a bucket at a provider of object storage."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RemotePlace:
    """``bucket`` is its name there, ``address`` how requests spell it (``gs://NAME``, ``s3://NAME``).

    Without a key of its own the provider's usual chain gives the credentials: environment, files, the identity of a
    container; the metadata service of a machine only with ``instance_metadata``. ``anonymous``: requests are not
    signed. ``endpoint`` is empty for the provider's own service. ``path_style`` None: as the endpoint needs it.
    ``checksums``: requests that write have the newer checksums of Amazon, None: where it is Amazon.
    ``is_sorted``: keys are listed in the order of their bytes. ``bulk_delete``: many objects by one request.
    ``concurrency`` is how many requests of one process may be in flight. ``account`` is that of Azure, ``sas_token``
    a shared access signature. ``credentials_file`` and ``billing_project`` (who pays for the requests) are of Google.
    """

    provider: str
    bucket: str
    address: str
    endpoint: str = ""
    region: str = ""
    profile: str = ""
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    anonymous: bool = False
    instance_metadata: bool = False
    ca_file: str = ""
    path_style: bool | None = None
    requester_pays: bool = False
    checksums: bool | None = None
    storage_class: str = ""
    is_sorted: bool = True
    bulk_delete: bool = True
    concurrency: int = 64
    account: str = ""
    account_key: str = field(default="", repr=False)
    sas_token: str = field(default="", repr=False)
    credentials_file: str = ""
    billing_project: str = ""
