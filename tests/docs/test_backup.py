"""The commands of the page on backups, run by a shell beside a server and on a stopped one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.test_readme import ROOT
from tests.faults.lost import bytes_on_disk
from tests.faults.test_lost_index import LARGE, made, settle
from tests.support.gantry import Gantry
from tests.support.server import GantryServer
from tests.support.web import Web

pytestmark = pytest.mark.slow

GANTRY = f'gantry() {{ "{sys.executable}" -m gantry "$@"; }}\npython3() {{ "{sys.executable}" "$@"; }}\n'
# What these commands need of rsync, for machines that have none: options, then source/ and target/.
RSYNC = r"""
rsync() {
    set -e
    excluded=
    for each in "$@"; do
        case $each in
            --exclude=*) excluded="$excluded --exclude=.${each#--exclude=}" ;;
            -*) ;;
            *) [ -n "$source" ] && target=$each || source=$each ;;
        esac
    done
    mkdir -p "$target"
    tar -C "$source" $excluded -cSf - . | tar -C "$target" -xSf -
    source=
}
"""


def blocks() -> list[str]:
    page = (ROOT / "docs" / "howto" / "backup.md").read_text(encoding="utf-8")
    return re.findall(r"```sh\n(.*?)```", page, re.DOTALL)


def sh(text: str, home: Path) -> None:
    given = GANTRY + ("" if shutil.which("rsync") else RSYNC)
    script = "set -e\n" + given + text
    done = subprocess.run(["sh", "-c", script], cwd=home, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


BACKUP, RESTORE, PUT_BACK, LOST = range(4)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GantryServer]:
    made = GantryServer(tmp_path / "gantry-data", tmp_path / "buckets")
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.wait()


def wait_for_space(server: GantryServer, data: bytes) -> None:
    server.wait_until(lambda: data not in bytes_on_disk(server.data / "blobs").values(), 60)


def test_the_page_has_these_commands() -> None:
    found = blocks()
    assert len(found) == 4
    assert found[BACKUP].index("hold") < found[BACKUP].index("VACUUM") < found[BACKUP].index("rsync")


def test_a_backup_of_a_running_server_loses_nothing(server: GantryServer, tmp_path: Path) -> None:
    """Instances come, are deleted and are replaced while it is made."""
    gantry = Gantry(server)
    web = Web(gantry)
    web.stored(*(made(1, number) for number in range(40)), made(2, 1, LARGE))
    before = gantry.stored()
    copied, bytes_, rest = blocks()[BACKUP].partition("rsync")
    sh(copied, tmp_path)
    gantry.call("DELETE", f"{web.root}/studies/1.2.1")
    gantry.call("DELETE", f"{web.root}/studies/1.2.2")
    web.stored(made(3, 1), made(1, 1, 3000))
    time.sleep(7)  # a sweep runs every five seconds
    sh(bytes_ + rest, tmp_path)
    wait_for_space(server, made(1, 5))
    server.stop()
    sh(blocks()[RESTORE], tmp_path)
    server.start()
    assert gantry.stored() == before
    web.stored(made(4, 1))
    server.stop()
    sh("gantry storage rebuild --data gantry-data || test $? = 1", tmp_path)
    server.start()
    assert set(gantry.stored()) == {*before, "1.2.3/1.2.3.1/1.2.3.1.1", "1.2.4/1.2.4.1/1.2.4.1.1"}


def test_a_backup_beside_uploads(server: GantryServer, tmp_path: Path) -> None:
    """Whatever was answered before it began is in it."""
    gantry = Gantry(server)
    web = Web(gantry)
    answered: list[int] = []
    stopping = threading.Event()

    def upload() -> None:
        while not stopping.is_set():
            web.stored(made(5, len(answered)))
            answered.append(len(answered))

    thread = threading.Thread(target=upload)
    thread.start()
    server.wait_until(lambda: len(answered) > 20)
    sure = len(answered)
    sh(blocks()[BACKUP], tmp_path)
    stopping.set()
    thread.join()
    server.kill9()
    sh(blocks()[RESTORE], tmp_path)
    server.start()
    stored = gantry.stored()
    for number in range(sure):
        assert stored[f"1.2.5/1.2.5.1/1.2.5.1.{number}"] == made(5, number)
    settle(server)


def test_an_older_index_is_put_back_and_takes_up_the_rest(server: GantryServer, tmp_path: Path) -> None:
    gantry = Gantry(server)
    web = Web(gantry)
    web.stored(made(1, 1))
    sh(blocks()[BACKUP], tmp_path)
    web.stored(made(1, 2))
    held = gantry.stored()
    server.kill9()
    sh(blocks()[PUT_BACK], tmp_path)
    server.start()
    assert gantry.stored() == held


def test_a_lost_index_is_made_again(server: GantryServer, tmp_path: Path) -> None:
    gantry = Gantry(server)
    Web(gantry).stored(made(1, 1), made(2, 1, LARGE))
    held = gantry.stored()
    server.kill9()
    sh(blocks()[LOST], tmp_path)
    server.start()
    assert gantry.stored() == held


def test_a_hold_that_was_forgotten_does_not_fill_the_disk(server: GantryServer, tmp_path: Path) -> None:
    gantry = Gantry(server)
    web = Web(gantry)
    web.stored(made(1, 1))
    hold = server.data / "hold"
    hold.touch()
    old = time.time() - 90_000
    os.utime(hold, (old, old))
    gantry.call("DELETE", f"{web.root}/studies/1.2.1")
    wait_for_space(server, made(1, 1))
    assert "counts no more" in server.log_text()
