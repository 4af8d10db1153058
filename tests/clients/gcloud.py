"""The real gcloud, pointed at a running server by nothing but its environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.gantry import Gantry
from tests.support.server import LOCATION, PROJECT


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


class Gcloud:
    """``gcloud healthcare …`` in the default project and, unless told otherwise, the location of the tests."""

    def __init__(self, gantry: Gantry, config: Path) -> None:
        # Nothing of the machine's own gcloud configuration may leak in.
        kept = {key: value for key, value in os.environ.items() if not key.startswith("CLOUDSDK_")}
        self.environ = kept | {
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_HEALTHCARE": f"{gantry.server.url}/",
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_CORE_PROJECT": PROJECT,
            "CLOUDSDK_CONFIG": str(config),
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
            "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
        }

    def __call__(self, *args: str, track: str = "") -> Result:
        command = [found(), *([track] if track else []), "healthcare", *args, f"--location={LOCATION}"]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=120, check=False)
        return Result(done.returncode, done.stdout, done.stderr)


def found() -> str:
    return shutil.which("gcloud") or ""
