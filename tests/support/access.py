"""A server that asks who is calling, and people that it knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.support.replicas import start_server
from tests.support.server import Json

ADMIN = "ada"


class Guarded:
    """``people`` have tokens; ADMIN, who is one of them always, may do everything."""

    def __init__(self, home: Path, *people: str, **env: str) -> None:
        self.tokens = {name: f"the-token-of-{name}" for name in (ADMIN, *people)}
        file = home / "tokens"
        file.write_text("".join(f"{token} {member(name)}\n" for name, token in self.tokens.items()))
        file.chmod(0o600)
        settings = {"GANTRY_AUTH": "required", "GANTRY_TOKENS_FILE": str(file), "GANTRY_ADMINS": member(ADMIN)}
        self.server = start_server(home / "data", home / "buckets", env=settings | env)

    def request(self, who: str, verb: str, path: str, **kw: Any) -> httpx.Response:
        """Somebody's request; "" is nobody."""
        headers = kw.pop("headers", {})
        if who:
            headers = headers | {"authorization": f"Bearer {self.tokens[who]}"}
        return self.server.request(verb, path, headers=headers, **kw)

    def call(self, verb: str, path: str, who: str = ADMIN, **kw: Any) -> Json:
        response = self.request(who, verb, path, **kw)
        assert response.status_code == 200, f"{response.status_code} {response.text}"
        found: Json = response.json()
        return found

    def grant(self, resource: str, *bindings: tuple[str, str]) -> Json:
        """Set the policy of a resource: pairs of role and person."""
        made = [{"role": role, "members": [member(name)]} for role, name in bindings]
        return self.call("POST", f"v1/{resource}:setIamPolicy", json={"policy": {"bindings": made}})


def member(name: str) -> str:
    return f"user:{name}@example.org"
