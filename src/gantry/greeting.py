"""What a server says once it is ready."""

from __future__ import annotations

from gantry.languages import _
from gantry.settings.loading import Settings


def write_greeting(settings: Settings) -> str:
    """Where the server is, and how to use it."""
    url = settings.url
    lines = [_("Gantry is ready at {url}; open it in a browser").format(url=url)]
    if settings.emulates:
        lines += [
            _("EMULATOR: it listens for everybody, answers to any name and authenticates nobody. NO PATIENT DATA."),
            _("{call} deletes what was stored since the start.").format(call=f"POST {url}/emulator/reset"),
        ]
    lines.append(_("{uri} is {path}").format(uri="gs://BUCKET/path", path=f"{settings.buckets_path}/BUCKET/path"))
    if names := ", ".join(settings.accept_without_effect):
        lines.append(_("accepted without effect: {names}").format(names=names))
    lines += [
        _("to use it with gcloud:"),
        f"  export CLOUDSDK_API_ENDPOINT_OVERRIDES_HEALTHCARE={url}/",
        f"  export CLOUDSDK_AUTH_{_write_token(settings)}",
        _("Ctrl-C stops it; running operations continue at the next start."),
    ]
    return "\n  ".join(lines)


def _write_token(settings: Settings) -> str:
    if settings.auth == "none":
        return "DISABLE_CREDENTIALS=true"
    remark = _("a file with a valid token")
    return f"ACCESS_TOKEN_FILE=FILE  # {remark}"
