"""Credentials of Azure: those of the settings, else the environment, as Azure's own tools read it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from gantry.errors import BucketAway
from gantry.storage.remote.azure_signing import Access, Anonymous, Bearer, Sas, SharedKey
from gantry.storage.remote.azure_tokens import Tokens, ask_machine, ask_service, ask_with_file, ask_with_secret
from gantry.storage.remote.place import RemotePlace


def find_access(place: RemotePlace, environment: Mapping[str, str] = os.environ) -> Access:
    """Makes no request. Raises BucketAway where there are no credentials."""
    if place.anonymous:
        return Anonymous()
    found = _find_own(place) or _find_of_account(place, environment) or _find_of_application(place, environment)
    if found is None:
        raise BucketAway(
            f"bucket {place.address}: the server has no credentials for it", advice="name them in the settings"
        )
    return found


def _find_own(place: RemotePlace) -> Access | None:
    if place.account_key:
        return SharedKey(place.account, place.account_key)
    return Sas(place.account, place.sas_token) if place.sas_token else None


def _find_of_account(place: RemotePlace, environment: Mapping[str, str]) -> Access | None:
    """The variables of Azure's command line, which are about one account."""
    if environment.get("AZURE_STORAGE_ACCOUNT") != place.account:
        return None
    for name, access in (("AZURE_STORAGE_KEY", SharedKey), ("AZURE_STORAGE_SAS_TOKEN", Sas)):
        if text := environment.get(name):
            try:
                return access(place.account, text)
            except ValueError:
                raise BucketAway(f"bucket {place.address}: {name} in the environment is none") from None
    return None


def _find_of_application(place: RemotePlace, environment: Mapping[str, str]) -> Access | None:
    """An application or a managed identity in Entra ID, as the variables of Azure's libraries say."""
    client, tenant = environment.get("AZURE_CLIENT_ID", ""), environment.get("AZURE_TENANT_ID", "")
    where, name = f"{_find_authority(environment)}/{tenant}/oauth2/v2.0/token", f"as application {client}"
    if client and tenant and (secret := environment.get("AZURE_CLIENT_SECRET")):
        return Bearer(name, Tokens(place, lambda: ask_with_secret(where, client, secret)).get)
    if client and tenant and (file := environment.get("AZURE_FEDERATED_TOKEN_FILE")):
        return Bearer(name, Tokens(place, lambda: ask_with_file(where, client, file)).get)
    name = f"as managed identity {client}".rstrip()
    if (service := environment.get("IDENTITY_ENDPOINT")) and (header := environment.get("IDENTITY_HEADER")):
        return Bearer(name, Tokens(place, lambda: ask_service(service, header, client)).get)
    return Bearer(name, Tokens(place, lambda: ask_machine(client)).get) if place.instance_metadata else None


def _find_authority(environment: Mapping[str, str]) -> str:
    """Azure's libraries take a host alone, too; without a scheme urllib3 would send the secret without TLS."""
    found = environment.get("AZURE_AUTHORITY_HOST") or "login.microsoftonline.com"
    return (found if "://" in found else f"https://{found}").rstrip("/")
