"""Pages of the console without what differs from one run to the next: numbers of operations, times, places."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime

from tests.console.scene import Scene

TIME = '<time datetime="2026-03-02T10:15:00+00:00">2026-03-02 10:15:00 UTC</time>'
_RULES = (
    (re.compile(r"<time datetime=.*?</time>"), TIME),
    (re.compile(r"\b\d+(?:\.\d+)? (?:ms|s)\b"), "0.4 s"),
    (re.compile(r"(<dt>Objects per second</dt><dd>)[\d,.]+"), r"\g<1>80"),
    (re.compile(r"\?before=\d+"), "?before=1"),
)
_NAMED = re.compile(r"\b(?:job_[\w-]{20,}|\d{17,20})\b")


class SteadyNames:
    """Numbers of operations and of queries, each with the one that stands for it in every run."""

    def __init__(self, scene: Scene) -> None:
        listed = scene.gantry.call("GET", f"v1/{scene.dataset}/operations")["operations"]
        operations = sorted(each["name"].rpartition("/")[2] for each in listed)
        self._shown = {name: f"18800000000000{number:05}" for number, name in enumerate(operations)}
        self._shown |= {scene.queried: "job_" + "a" * 27, scene.wrong: "job_" + "b" * 27}
        self._real = {shown: name for name, shown in self._shown.items()}
        self._home, self._port = str(scene.server.buckets.parent), str(scene.server.url.rpartition(":")[2])

    def hide(self, html: str) -> str:
        """``html`` as it is in every run."""
        html = _NAMED.sub(lambda found: self._shown.get(found[0], found[0]), html)
        for pattern, steady in _RULES:
            html = pattern.sub(steady, html)
        html = html.replace(self._home, "/srv/gantry").replace(f"<code>{self._port}<", "<code>8080<")
        return html.replace(datetime.now(UTC).date().isoformat(), "2026-03-02")

    def restore(self, address: str) -> str:
        """The address that a page which was hidden means."""
        return _NAMED.sub(lambda found: self._real.get(found[0], found[0]), address)


def fingerprint(scene: Scene, names: SteadyNames, page: str) -> str:
    """A digest of a page, of what it loads by itself, and, by their addresses, of styles and scripts."""
    html = _read(scene, names, f"/{scene.pages()[page]}")
    loaded = re.findall(r'hx-get="([^"]+)" hx-trigger="load', html)
    parts = [html, *(_read(scene, names, names.restore(address)) for address in loaded)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _read(scene: Scene, names: SteadyNames, address: str) -> str:
    return names.hide(scene.server.client.get(address, headers={"Accept-Language": "en"}).text)
