"""The file of certificates that the settings name for a bucket."""

from __future__ import annotations

import ssl

from gantry.errors import FailedPrecondition
from gantry.storage.remote.place import RemotePlace
from gantry.system_errors import describe_os_error


def read_certificates(place: RemotePlace) -> bytes:
    """In PEM; nothing where the settings name none. Raises FailedPrecondition where the file cannot be read."""
    if not place.ca_file:
        return b""
    name = f"the ca_file of bucket {place.address}"
    try:
        with open(place.ca_file, "rb") as file:
            found = file.read()
        if not found:
            raise ssl.SSLError
        ssl.create_default_context(cadata=found.decode("ascii"))
    except ssl.SSLError:
        raise FailedPrecondition(f"{name} has no certificates in PEM", advice="see to the settings") from None
    except (OSError, ValueError) as error:
        raise FailedPrecondition(
            f"{name} cannot be read: {describe_os_error(error)}", advice="see to the settings"
        ) from None
    return found
