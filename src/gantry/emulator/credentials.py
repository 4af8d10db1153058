"""``gantry emulator credentials``: a file with which Google's clients need no account.

Of the kinds of such files (``GOOGLE_APPLICATION_CREDENTIALS``) only *external_account* is taken by the clients for
Python, Node.js, Go and Java and by gcloud with an address of tokens of one's own, and without a private key.
"""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from shlex import quote
from typing import Any

from gantry.errors import InvalidArgument
from gantry.system_errors import describe_os_error


def write_credentials(args: Namespace) -> int:
    """Write the file, and print for a shell what points clients to it. Raises InvalidArgument."""
    from gantry.client.terminal import printable, say

    path, server = Path(args.file).absolute(), args.server.rstrip("/")
    try:
        path.write_text(json.dumps(make_credentials(server, args.universe_domain), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidArgument(f"{path}: cannot be written: {describe_os_error(error)}") from None
    variables = {"GOOGLE_APPLICATION_CREDENTIALS": str(path)}
    if args.universe_domain:
        variables["GOOGLE_CLOUD_UNIVERSE_DOMAIN"] = args.universe_domain
    variables["CLOUDSDK_API_ENDPOINT_OVERRIDES_HEALTHCARE"] = f"{server}/"
    variables["CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE"] = str(path)
    for name, value in variables.items():
        say(printable(f"export {name}={quote(value)}"))
    return 0


def make_credentials(server: str, universe_domain: str = "") -> dict[str, Any]:
    """The content of a credentials file for the emulator at ``server``. It holds no secret: what a client would
    exchange for a token is the answer of ``/healthz``, and the emulator gives everybody the same."""
    credentials: dict[str, Any] = {
        "type": "external_account",
        "audience": "gantry-emulator",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{server}/token",
        "token_info_url": f"{server}/token",
        "credential_source": {"url": f"{server}/healthz"},
    }
    return credentials | ({"universe_domain": universe_domain} if universe_domain else {})
