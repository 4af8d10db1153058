"""The how-to page on notifications: its settings, its commands and its function are run as they are printed."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gantry.settings.readers import TOPICS
from tests.docs.test_howto import commands
from tests.notifications.test_notifying import SECRET
from tests.support.dicom import make_instance
from tests.support.receivers import Receiver, receiving
from tests.support.server import GantryServer, counts

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "notifications.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_every_example_of_the_settings_is_accepted() -> None:
    for text in blocks("toml"):
        assert len(TOPICS.read(tomllib.loads(text)["topics"])) == 1
    found = re.search(r"GANTRY_TOPICS='(.*?)'", PAGE)
    assert found is not None
    assert TOPICS.read(found[1])[0].pubsub == "http://localhost:8085"


@pytest.mark.slow
def test_the_webhook_of_the_page(tmp_path: Path) -> None:
    """The entry for a webhook, the request that gives a store a topic, and the function that verifies a message."""
    with receiving() as hook:
        text = next(each for each in blocks("toml") if "webhook" in each)
        text = text.replace("https://example.org", hook.url).replace("/etc/gantry", str(tmp_path))
        (tmp_path / "webhook-secret").write_text(SECRET)
        (tmp_path / "gantry.toml").write_text(text)
        server = GantryServer(
            tmp_path / "data", tmp_path / "buckets", env={"GANTRY_CONFIG": str(tmp_path / "gantry.toml")}
        )
        try:
            _check(server, hook, tmp_path)
        finally:
            server.stop()


def _check(server: GantryServer, hook: Receiver, home: Path) -> None:
    store = server.create_store("d", "s", project="my-project")
    patch = next(each for each in commands("notifications.md") if "-X PATCH" in each)
    command = ["sh", "-ec", patch.replace("http://127.0.0.1:8080", server.url)]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "new-images" in done.stdout, done.stderr
    (server.buckets / "in").mkdir()
    (server.buckets / "in" / "a.dcm").write_bytes(make_instance())
    assert counts(server.wait(server.import_(store, "gs://in/a.dcm"))) == (1, 0)
    server.wait_until(lambda: len(hook.taken) == 1)
    names: dict[str, Any] = {}
    exec(blocks("python")[0], names)  # noqa: S102 - of our own page
    (taken,) = hook.taken
    assert names["verify"](SECRET, taken.headers, taken.body)
    assert not names["verify"](SECRET, taken.headers, taken.body + b" ")
    assert not names["verify"](SECRET, taken.headers | {"webhook-timestamp": "1"}, taken.body)
