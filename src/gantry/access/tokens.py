"""Static tokens from a file: one on each line, with its member and groups. Read again when the file changes.

    # TOKEN                    MEMBER                      GROUPS
    gt_9GQ…                    user:ada@example.org        group:radiology
    sha256:6ca13d52ca70c883…   serviceAccount:pacs@example.org

A token may be written as its SHA-256; the file is then not secret. Only its owner may read a file with plain tokens.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path

from gantry.access.reloading import Reloaded
from gantry.errors import InvalidArgument
from gantry.iam.policies import Principal, principal
from gantry.system_errors import describe_os_error

MIN_CHARACTERS = 16  # shorter ones can be guessed
_MAX_BYTES = 10 << 20  # some 100,000 tokens
_HASH = re.compile(r"sha256:([0-9a-f]{64})")
_MEMBER = re.compile(r"(?:user|serviceAccount):[^\s@:]+@[^\s@:]+")
_GROUP = re.compile(r"group:\S+")
_KIND = "token"
_Known = dict[bytes, Principal]


class StaticTokens:
    """Safe to use from many threads. Raises InvalidArgument for a file that cannot be used at the start.

    If the file cannot be used later, the log says so, and the old tokens stay valid.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._known = Reloaded(self._path, self._load)

    def authenticate(self, token: str) -> Principal | None:
        """The member of a token; None for a token that is not in the file."""
        return self._known.get().get(hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest())

    def recheck(self, credential: str) -> Principal | None:
        """The member of a token by now; None if the token has been removed."""
        kind, _, digest = credential.partition(":")
        return self._known.get().get(bytes.fromhex(digest)) if kind == _KIND else None

    def _load(self) -> _Known:
        try:
            with open(self._path, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                text = file.read(_MAX_BYTES + 1).decode()
        except OSError as error:
            raise InvalidArgument(f"tokens_file {self._path}: cannot be read: {describe_os_error(error)}") from None
        except UnicodeDecodeError:
            raise InvalidArgument(f"tokens_file {self._path}: is not UTF-8 text") from None
        if len(text) > _MAX_BYTES:
            raise InvalidArgument(f"tokens_file {self._path}: is larger than {_MAX_BYTES} bytes")
        known: _Known = {}
        has_plain = False
        for number, line in enumerate(text.splitlines(), 1):
            words = line.split()
            if words and not words[0].startswith("#"):
                digest, plain = self._read_token(words[0], number)
                has_plain = has_plain or plain
                if digest in known:
                    raise InvalidArgument(f"tokens_file {self._path}: line {number} repeats an earlier token")
                known[digest] = self._read_member(words[1:], number, digest)
        if has_plain and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InvalidArgument(f"tokens_file {self._path}: others can read its tokens; run chmod 600 {self._path}")
        return known

    def _read_token(self, word: str, number: int) -> tuple[bytes, bool]:
        if hashed := _HASH.fullmatch(word):
            return bytes.fromhex(hashed[1]), False
        if word.startswith("sha256:") or len(word) < MIN_CHARACTERS:
            raise InvalidArgument(
                f"tokens_file {self._path}: line {number} has no token of {MIN_CHARACTERS} characters or more, "
                "and no sha256: with 64 hexadecimal digits"
            )
        return hashlib.sha256(word.encode()).digest(), True

    def _read_member(self, words: list[str], number: int, digest: bytes) -> Principal:
        if not words or not _MEMBER.fullmatch(words[0]) or not all(map(_GROUP.fullmatch, words[1:])):
            raise InvalidArgument(
                f"tokens_file {self._path}: line {number} is not TOKEN user:EMAIL or TOKEN serviceAccount:EMAIL, "
                "followed by group:NAME for each group"
            )
        return principal(words[0], words[1:], f"{_KIND}:{digest.hex()}")
