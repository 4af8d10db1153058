"""Entries of the setting ``remote_buckets`` for Azure, and the credentials that follow from them."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.errors import BucketAway, InvalidArgument
from gantry.storage.remote.azure_credentials import find_access
from gantry.storage.remote.azure_requests import quote_key
from gantry.storage.remote.azure_signing import Sas, SharedKey, describe_request
from gantry.storage.remote.azure_tokens import ask_service, ask_with_secret
from gantry.storage.remote.place import RemotePlace
from gantry.storage.remote_buckets import RemoteBuckets, find_remote

HOST = "https://hospital.blob.core.windows.net"


@pytest.mark.parametrize(
    ("given", "address", "place"),
    [
        ({"name": "az://lab-*"}, "az://lab-1", RemotePlace("azure", "lab-1", "az://lab-1", endpoint=HOST)),
        (
            {"name": "alias", "provider": "azure", "bucket": "there"},
            "gs://alias",
            RemotePlace("azure", "there", "gs://alias", endpoint=HOST),
        ),
        (
            {"name": "az://b", "endpoint": "http://localhost:10000/hospital", "storage_class": "Cool"},
            "az://b",
            RemotePlace("azure", "b", "az://b", endpoint="http://localhost:10000/hospital", storage_class="Cool"),
        ),
    ],
)
def test_an_address_may_be_a_container(given: dict[str, Any], address: str, place: RemotePlace) -> None:
    found = find_remote([RemoteBuckets.parse({**given, "account": "hospital"})], address)
    assert found is not None and found.account == "hospital"
    assert (found.provider, found.bucket, found.address) == (place.provider, place.bucket, place.address)
    assert (found.endpoint, found.storage_class) == (place.endpoint, place.storage_class)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"account": ""}, "account = \"\" of 'az://b' says nothing"),
        ({"account": "Hospital!"}, "needs the account"),
        ({"region": "eu-west-3"}, "region of 'az://b' has no effect with azure"),
        ({"bulk_delete": False}, "bulk_delete of 'az://b' has no effect"),
        ({"account_key": "not base64!"}, "is no key of an account"),
        ({"account_key": "YQ==", "sas_token": "sig=x"}, "only one of"),
        ({"sas_token": "sig=x", "anonymous": True}, "only one of"),
        ({"sas_token": "sig=x", "instance_metadata": True}, "instance_metadata"),
        ({"account_key": "YQ==", "instance_metadata": True}, "instance_metadata"),
        ({"sas_token": "hospital"}, "is no shared access signature"),
        ({"sas_token": "https://hospital.blob.core.windows.net/b?sv=1&sig=x"}, "and no address"),
        ({"storage_class": "STANDARD_IA"}, "one of Hot, Cool, Cold, Archive"),
    ],
)
def test_entries_that_are_not_understood(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match="remote_buckets") as refused:
        RemoteBuckets.parse({"name": "az://b", "account": "hospital", **given})
    assert words in refused.value.message


def test_what_is_azures_has_no_effect_with_s3() -> None:
    with pytest.raises(InvalidArgument, match="account of 's3://b' has no effect with s3"):
        RemoteBuckets.parse({"name": "s3://b", "account": "hospital"})


def test_a_secret_is_never_shown() -> None:
    for key, secret in (("account_key", "c2VjcmV0"), ("sas_token", "sig=c2VjcmV0")):
        given = {"name": "az://b", "account": "hospital", key: secret}
        assert "c2VjcmV0" not in repr(RemoteBuckets.parse(given))
        with pytest.raises(InvalidArgument) as refused:
            RemoteBuckets.parse(given | {key: [secret]})
        assert "c2VjcmV0" not in refused.value.message


APPLICATION = {"AZURE_CLIENT_ID": "client-1", "AZURE_TENANT_ID": "tenant"}


@pytest.mark.parametrize(
    ("own", "environment", "identity"),
    [
        ({"anonymous": True}, APPLICATION, "without credentials"),
        ({"account_key": "YQ=="}, APPLICATION, "with a key of account hospital"),
        ({"sas_token": "?sig=x"}, {}, "with a SAS token of account hospital"),
        ({}, {"AZURE_STORAGE_ACCOUNT": "hospital", "AZURE_STORAGE_KEY": "YQ=="}, "with a key of account hospital"),
        ({}, {"AZURE_STORAGE_ACCOUNT": "hospital", "AZURE_STORAGE_SAS_TOKEN": "sig=b"}, "with a SAS token of account"),
        ({}, APPLICATION | {"AZURE_CLIENT_SECRET": "x"}, "as application client-1"),
        ({}, APPLICATION | {"AZURE_FEDERATED_TOKEN_FILE": "/token"}, "as application client-1"),
        ({}, {"IDENTITY_ENDPOINT": "http://localhost", "IDENTITY_HEADER": "x"}, "as managed identity"),
        ({"instance_metadata": True}, {}, "as managed identity"),
    ],
    ids=["anonymous", "key", "sas", "key of tools", "sas of tools", "secret", "workload", "service", "machine"],
)
def test_the_chain_of_credentials(own: dict[str, Any], environment: dict[str, str], identity: str) -> None:
    place = RemotePlace("azure", "b", "az://b", account="hospital", **own)
    assert find_access(place, environment).identity.startswith(identity)


@pytest.mark.parametrize("environment", [{}, {"AZURE_STORAGE_ACCOUNT": "other", "AZURE_STORAGE_KEY": "YQ=="}])
def test_nobody_asks_the_machine_unless_the_settings_say_so(environment: dict[str, str]) -> None:
    with pytest.raises(BucketAway, match="no credentials"):
        find_access(RemotePlace("azure", "b", "az://b", account="hospital"), environment)


@pytest.mark.parametrize(
    ("authority", "url"),
    [
        ("", "https://login.microsoftonline.com/tenant/oauth2/v2.0/token"),
        ("login.chinacloudapi.cn", "https://login.chinacloudapi.cn/tenant/oauth2/v2.0/token"),
        ("https://login.microsoftonline.us/", "https://login.microsoftonline.us/tenant/oauth2/v2.0/token"),
    ],
    ids=["default", "host", "address"],
)
def test_a_secret_is_sent_with_tls(authority: str, url: str) -> None:
    """Azure's libraries take the name of a host in AZURE_AUTHORITY_HOST, too."""
    place = RemotePlace("azure", "b", "az://b", account="hospital")
    environment = APPLICATION | {"AZURE_CLIENT_SECRET": "x", "AZURE_AUTHORITY_HOST": authority}
    access: Any = find_access(place, environment)
    assert access.get_token.__self__._ask().url == url


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("AZURE_STORAGE_KEY", "hush!"),
        ("AZURE_STORAGE_SAS_TOKEN", "hush"),
        ("AZURE_STORAGE_SAS_TOKEN", "https://hospital.blob.core.windows.net/b?sig=hush"),
    ],
    ids=["key", "no signature", "address"],
)
def test_a_secret_of_the_environment_that_is_none_is_said_so(name: str, text: str) -> None:
    """Requests would be anonymous, and the container not be there."""
    place = RemotePlace("azure", "b", "az://b", account="hospital")
    with pytest.raises(BucketAway, match=f"{name} in the environment is none") as refused:
        find_access(place, {"AZURE_STORAGE_ACCOUNT": "hospital", name: text})
    assert "hush" not in refused.value.message


def test_a_request_for_a_token_does_not_show_its_secret() -> None:
    asks = ask_with_secret("https://login", "client", "hush"), ask_service("http://localhost", "hush", "client")
    assert "hush" not in repr(asks)


def test_a_signature_may_hold_a_plus() -> None:
    assert Sas("a", "?sv=1&sig=a+b%2B%2Fc%3D").sign("GET", "/", {}, {})[0] == {"sv": "1", "sig": "a+b+/c="}


def test_what_is_signed() -> None:
    """The example of "Authorize with Shared Key" in Azure's reference, in the same order."""
    headers = {"x-ms-version": "2015-02-21", "x-ms-date": "Fri, 26 Jun 2015 23:39:12 GMT"}
    query = {"timeout": "20", "restype": "container", "comp": "metadata"}
    text = describe_request("myaccount", "GET", "/mycontainer", query, headers)
    assert text == (
        "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n"
        "/myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20"
    )
    _, signed = SharedKey("myaccount", "YQ==").sign("GET", "/mycontainer", query, headers)
    assert signed["authorization"].startswith("SharedKey myaccount:")


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a/./b", "a/%2E/b"),
        ("../y", "%2E%2E/y"),
        (".", "%2E"),
        ("a/.b", "a/.b"),
        ("...", "..."),
        ("a b+%", "a%20b%2B%25"),
    ],
)
def test_dots_are_no_directories_on_the_way(key: str, path: str) -> None:
    assert quote_key(key) == path
