"""An OpenID Connect issuer on this machine."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

AUDIENCE = "gantry"


class Issuer:
    """``keys`` are what it publishes, by id."""

    def __init__(self) -> None:
        self.private = {
            "rsa": (rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256"),
            "ec": (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        }
        self.keys = {kid: self.published(kid) for kid in self.private}
        self.asked: list[str] = []
        self.down = False
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                answer: Any = {"keys": list(issuer.keys.values())}
                if self.path == "/.well-known/openid-configuration":
                    answer = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
                self.send_response(503 if issuer.down else 200)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, format: str, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def published(self, kid: str) -> dict[str, Any]:
        key, algorithm = self.private[kid]
        makers: dict[str, Any] = {"RS256": jwt.algorithms.RSAAlgorithm, "ES256": jwt.algorithms.ECAlgorithm}
        public = json.loads(makers[algorithm].to_jwk(key.public_key()))  # type: ignore[attr-defined]
        return public | {"kid": kid, "alg": algorithm, "use": "sig"}

    def token(self, kid: str = "rsa", **claims: Any) -> str:
        key, algorithm = self.private[kid]
        now = int(time.time())
        made = {"iss": self.url, "aud": AUDIENCE, "sub": "1", "email": "Ada@Example.org", "iat": now, "exp": now + 300}
        kept = {name: value for name, value in (made | claims).items() if value is not None}
        return jwt.encode(kept, key, algorithm, headers={"kid": kid})  # type: ignore[arg-type]
