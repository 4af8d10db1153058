"""What a server says once it is ready."""

from __future__ import annotations

from gantry.settings.loading import Settings

_EMULATOR = (
    "  EMULATOR: it listens for everybody, answers to any name and authenticates nobody. NO PATIENT DATA.\n"
    "  POST {url}/emulator/reset deletes what was stored since the start.\n"
)


def write_greeting(settings: Settings) -> str:
    """Where the server is, and how to use it."""
    url = settings.url
    token = (
        "DISABLE_CREDENTIALS=true" if settings.auth == "none" else "ACCESS_TOKEN_FILE=FILE  # a file with a valid token"
    )
    kept = f"  accepted without effect: {names}\n" if (names := ", ".join(settings.accept_without_effect)) else ""
    return (
        f"Gantry is ready at {url}; open it in a browser\n"
        f"{_EMULATOR.format(url=url) if settings.emulates else ''}"
        f"  gs://BUCKET/path is {settings.buckets_path}/BUCKET/path\n"
        f"{kept}"
        "  to use it with gcloud:\n"
        f"    export CLOUDSDK_API_ENDPOINT_OVERRIDES_HEALTHCARE={url}/\n"
        f"    export CLOUDSDK_AUTH_{token}\n"
        "  Ctrl-C stops it; running operations continue at the next start."
    )
