"""An OpenID Connect issuer on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

AUDIENCE = "gantry"


@cache
def _private_keys() -> dict[str, tuple[Any, str]]:
    """Made once: an RSA key takes up to a second."""
    return {
        "rsa": (rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256"),
        "ec": (ec.generate_private_key(ec.SECP256R1()), "ES256"),
    }


def _refusal(query: dict[str, str]) -> dict[str, str]:
    """What is wrong with a request for a code, if anything is."""
    if query.get("response_type") != "code":
        return {"error": "unsupported_response_type"}
    if "openid" not in query.get("scope", "").split():
        return {"error": "invalid_scope"}
    if query.get("code_challenge_method") != "S256":
        return {"error": "invalid_request"}
    return {}


class Issuer:
    """``keys`` are what it publishes, by id. While ``answering`` is not set, requests for them wait."""

    def __init__(self) -> None:
        self.private = dict(_private_keys())
        self.keys = {kid: self.published(kid) for kid in self.private}
        self.asked: list[str] = []
        self.down = False
        self.answering = threading.Event()
        self.answering.set()
        self.document: dict[str, Any] = {}  # in place of what the document says
        self.answer: Any = None  # in place of its keys
        self.codes: dict[str, dict[str, str]] = {}
        self.secret = "the-secret-of-gantry"  # noqa: S105
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                issuer.answering.wait(60)
                answer: Any = {"keys": list(issuer.keys.values())} if issuer.answer is None else issuer.answer
                if self.path == "/.well-known/openid-configuration":
                    answer = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
                    answer |= {f"{name}_endpoint": f"{issuer.url}/{name}" for name in ("authorization", "token")}
                    answer |= issuer.document
                if self.path.startswith("/authorization?") and not issuer.down:
                    self.send_response(302)
                    self.send_header("location", issuer.back(dict(parse_qsl(urlsplit(self.path).query))))
                    self.end_headers()
                    return
                self.send_response(503 if issuer.down else 200)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def do_POST(self) -> None:
                form = dict(parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
                issuer.answering.wait(60)
                answer = issuer.redeemed(form)
                self.send_response(400 if answer is None else 200)
                self.end_headers()
                self.wfile.write(json.dumps(answer or {"error": "invalid_grant"}).encode())

            def log_message(self, format: str, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def back(self, query: dict[str, str]) -> str:
        """Somebody has signed in here: the address that the browser goes back to, with a code.

        With an error where another flow is asked for (RFC 6749 §4.1.2.1, RFC 7636 §4.4.1).
        """
        answer = {"state": query["state"]} | _refusal(query)
        if "error" not in answer:
            answer["code"] = f"code-{len(self.codes)}"
            self.codes[answer["code"]] = query
        return f"{query['redirect_uri']}?{urlencode(answer)}"

    def redeemed(self, form: dict[str, str]) -> dict[str, str] | None:
        """The tokens for a code, once; None for whoever did not ask for it (RFC 7636 §4.6)."""
        if form.get("grant_type") != "authorization_code":
            return None
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or challenge != asked["code_challenge"] or form.get("client_secret") != self.secret:
            return None
        if form["redirect_uri"] != asked["redirect_uri"]:
            return None
        return {"id_token": self.token(aud=asked["client_id"], nonce=asked["nonce"], groups=["radiology"])}

    def published(self, kid: str) -> dict[str, Any]:
        key, algorithm = self.private[kid]
        makers: dict[str, Any] = {"RS256": jwt.algorithms.RSAAlgorithm, "ES256": jwt.algorithms.ECAlgorithm}
        public = json.loads(makers[algorithm].to_jwk(key.public_key()))  # type: ignore[attr-defined]
        return public | {"kid": kid, "alg": algorithm, "use": "sig"}

    def token(self, kid: str = "rsa", *, null: str = "", **claims: Any) -> str:
        """A claim of None is left out; that of ``null`` is null."""
        key, algorithm = self.private[kid]
        now = int(time.time())
        made = {"iss": self.url, "aud": AUDIENCE, "sub": "1", "email": "Ada@Example.org", "iat": now, "exp": now + 300}
        kept = {name: value for name, value in (made | claims).items() if value is not None}
        if null:
            kept[null] = None
        return jwt.encode(kept, key, algorithm, headers={"kid": kid})
