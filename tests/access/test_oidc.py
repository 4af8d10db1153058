"""Tokens of an OpenID Connect issuer: one that runs here, with keys that it changes."""

from __future__ import annotations

import base64
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from gantry.access import issuer as publishing
from gantry.access import refreshing
from gantry.access.oidc import ClaimNames, OidcTokens
from gantry.errors import InvalidArgument, Unauthenticated, Unavailable
from tests.support.issuer import AUDIENCE, Issuer

NESTED = base64.urlsafe_b64encode(b"[" * 30_000).decode() + "..x"


@pytest.fixture
def tokens(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> OidcTokens:
    for name in ("PAUSE", "FAILURE_PAUSE"):
        monkeypatch.setattr(refreshing, name, 0.0)
    monkeypatch.setattr(refreshing, "PATIENCE", 30.0)
    return OidcTokens(publishing.Issuer(issuer.url), AUDIENCE)


@pytest.mark.parametrize("kid", ["rsa", "ec"])
def test_who_is_behind_a_token(issuer: Issuer, tokens: OidcTokens, kid: str) -> None:
    found = tokens.authenticate(issuer.token(kid, groups=["Radiology", 3], email_verified=True))
    assert found is not None and found.name == "user:ada@example.org"
    assert {"group:radiology", "domain:example.org", "allAuthenticatedUsers"} < found.members
    assert not any("3" in name for name in found.members)


def test_the_longest_address_and_the_most_groups(issuer: Issuer, tokens: OidcTokens) -> None:
    """An address has up to 320 characters (RFC 3696). The first 1,000 groups count, without those of more than 500
    characters."""
    address, names = f"{'a' * 308}@example.org", [f"n{number}" for number in range(999)]
    found = tokens.authenticate(issuer.token(email=address, groups=["g" * 500, "h" * 501, *names]))
    assert found is not None and found.name == f"user:{address}"
    expected = {f"group:{name}" for name in ("g" * 500, *names[:-1])}
    assert {name for name in found.members if name.startswith("group:")} == expected
    with pytest.raises(Unauthenticated, match="names nobody"):
        tokens.authenticate(issuer.token(email=f"a{address}"))


def test_an_audience_among_several(issuer: Issuer, tokens: OidcTokens) -> None:
    assert tokens.authenticate(issuer.token(aud=["other", AUDIENCE])) is not None


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"exp": 1}, "expired"),
        ({"exp": None}, "exp"),
        ({"iat": int(time.time()) + 3600}, "not yet valid"),
        ({"nbf": int(time.time()) + 3600}, "not yet valid"),
        ({"aud": "other"}, "udience"),
        ({"aud": None}, "aud"),
        ({"email": None}, "names nobody"),
        ({"email": ["ada@example.org"]}, "names nobody"),
        ({"email": "ada@example.org evil"}, "names nobody"),
        ({"exp": "9999999999"}, "claim exp is not a number"),
        ({"iat": "1"}, "claim iat is not a number"),
        ({"exp": 1e300}, "claim exp is not a number"),
        ({"email": f"{'a' * 400}@example.org"}, "names nobody"),
        ({"email": "ada@example.org\x7f"}, "names nobody"),
    ],
)
def test_claims_that_are_refused(issuer: Issuer, tokens: OidcTokens, claims: dict[str, Any], words: str) -> None:
    with pytest.raises(Unauthenticated, match=words):
        tokens.authenticate(issuer.token(**claims))


REFUSED: list[Any] = [False, None, 0, 1, "", "false", "False", "0", "1", "no", "TRUE ", [], ["true"], {}, {"a": True}]


@pytest.mark.parametrize("value", REFUSED, ids=repr)
@pytest.mark.parametrize("required", [True, False])
def test_an_address_is_verified_by_true_alone(issuer: Issuer, value: Any, required: bool) -> None:
    tokens = OidcTokens(publishing.Issuer(issuer.url), AUDIENCE, ClaimNames(require_verified=required))
    token = issuer.token(null="email_verified") if value is None else issuer.token(email_verified=value)
    with pytest.raises(Unauthenticated, match="not verified"):
        tokens.authenticate(token)


@pytest.mark.parametrize("value", [True, "true"])
def test_an_address_that_is_verified(issuer: Issuer, value: Any) -> None:
    tokens = OidcTokens(publishing.Issuer(issuer.url), AUDIENCE, ClaimNames(require_verified=True))
    assert tokens.authenticate(issuer.token(email_verified=value)) is not None


def test_what_a_missing_email_verified_means_is_a_setting(issuer: Issuer, tokens: OidcTokens) -> None:
    assert tokens.authenticate(issuer.token()) is not None
    strict = OidcTokens(publishing.Issuer(issuer.url), AUDIENCE, ClaimNames(require_verified=True))
    with pytest.raises(Unauthenticated, match="does not say"):
        strict.authenticate(issuer.token())


def test_clocks_may_differ_by_a_minute(issuer: Issuer, tokens: OidcTokens) -> None:
    now = int(time.time())
    assert tokens.authenticate(issuer.token(exp=now - 30)) is not None
    assert tokens.authenticate(issuer.token(iat=now + 30)) is not None
    for claims in ({"exp": now - 90}, {"iat": now + 90}, {"nbf": now + 90}):
        with pytest.raises(Unauthenticated, match=r"expired|not yet valid"):
            tokens.authenticate(issuer.token(**claims))


@pytest.mark.parametrize("missing", ["exp", "iat", "aud"])
def test_claims_that_must_be_there(issuer: Issuer, tokens: OidcTokens, missing: str) -> None:
    with pytest.raises(Unauthenticated, match=rf"^the token is not valid: it has no claim {missing}$"):
        tokens.authenticate(issuer.token(**{missing: None}))


@pytest.mark.parametrize("token", ["", "the-token-of-ada", "a.b.c", "..", NESTED, f"e30.{NESTED}.x", "\udcff.\udcff.x"])
def test_what_is_no_signed_token(tokens: OidcTokens, token: str) -> None:
    assert tokens.authenticate(token) is None


def test_a_token_of_another_issuer_is_left_to_others(issuer: Issuer, tokens: OidcTokens) -> None:
    assert tokens.authenticate(issuer.token(iss="https://other.example.org")) is None


def test_forged_tokens(issuer: Issuer, tokens: OidcTokens) -> None:
    """No signature, a shared secret that is the public key, another's key under a known id, a key not for signing."""
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    zeros = "A" * 43
    issuer.keys["oct"] = {"kty": "oct", "kid": "oct", "k": zeros, "alg": "HS256"}
    issuer.keys["enc"] = issuer.published("rsa") | {"kid": "enc", "use": "enc"}
    forged = (
        jwt.encode(claims, None, "none", headers={"kid": "rsa"}),
        jwt.encode(claims, stranger, "RS256", headers={"kid": "rsa"}),
        jwt.encode(claims, b"\0" * 32, "HS256", headers={"kid": "oct"}),
        jwt.encode(claims, issuer.private["rsa"][0], "RS256", headers={"kid": "enc"}),
        jwt.encode(claims, issuer.private["rsa"][0], "RS256"),
    )
    for token in forged:
        with pytest.raises(Unauthenticated):
            tokens.authenticate(token)


def test_keys_that_change(issuer: Issuer, tokens: OidcTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new key is fetched when it is met; one that was taken back is good no longer than an hour."""
    issuer.keys = {"rsa": issuer.published("rsa")}
    old, new = issuer.token("rsa"), issuer.token("ec")
    assert tokens.authenticate(old) is not None
    issuer.keys = {"ec": issuer.published("ec")}
    assert tokens.authenticate(old) is not None
    assert tokens.authenticate(new) is not None
    with pytest.raises(Unauthenticated, match="no key 'rsa'"):
        tokens.authenticate(old)


def test_keys_are_not_fetched_for_everybody_who_asks(
    issuer: Issuer, tokens: OidcTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tokens.authenticate(issuer.token()) is not None
    asked = len(issuer.asked)
    monkeypatch.setattr(refreshing, "PAUSE", 3600.0)
    del issuer.keys["ec"]
    issuer.private["unknown"] = issuer.private["rsa"]
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            tokens.authenticate(issuer.token("unknown"))
    assert len(issuer.asked) == asked


def test_an_issuer_that_is_away(issuer: Issuer, tokens: OidcTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """503, not 401: the caller has done nothing wrong; keys known before stay good for a day."""
    issuer.down = True
    with pytest.raises(Unavailable):
        tokens.authenticate(issuer.token())
    issuer.down = False
    assert tokens.authenticate(issuer.token()) is not None
    issuer.down = True
    monkeypatch.setattr(refreshing, "FRESH", -1.0)
    assert tokens.authenticate(issuer.token()) is not None
    monkeypatch.setattr(refreshing, "STALE", -1.0)
    with pytest.raises(Unavailable):
        tokens.authenticate(issuer.token())


@pytest.mark.parametrize(
    "url", ["http://example.org", "ftp://127.0.0.1", "file:///etc/passwd", "", "https://", "http://[::1"]
)
def test_issuers_without_tls_are_refused(url: str) -> None:
    with pytest.raises(InvalidArgument, match="oidc_issuer"):
        publishing.Issuer(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:1", "http://LOCALHOST", "http://[::1]:1"])
def test_issuers_of_this_machine_need_no_tls(url: str) -> None:
    assert publishing.Issuer(url).url == url


def test_an_audience_is_needed() -> None:
    with pytest.raises(InvalidArgument, match="oidc_audience"):
        OidcTokens(publishing.Issuer("https://example.org"), "")


def test_keys_elsewhere_need_tls_too(issuer: Issuer, tokens: OidcTokens, caplog: pytest.LogCaptureFixture) -> None:
    """Where the settings name them, and where the issuer's document does: nothing is asked there."""
    with pytest.raises(InvalidArgument, match="oidc_jwks_uri"):
        publishing.Issuer(issuer.url, "http://192.0.2.1/keys")
    issuer.document = {"jwks_uri": issuer.url.replace("127.0.0.1", "127.0.0.2") + "/keys"}
    with pytest.raises(Unavailable):
        tokens.authenticate(issuer.token())
    assert issuer.asked == ["/.well-known/openid-configuration"]
    assert "jwks_uri: 'http://127.0.0.2" in caplog.text


@pytest.mark.parametrize("other", ["https://other.example.org", "{}/", "{}/realm", " {}", "", None, ["{}"]], ids=repr)
def test_a_discovery_document_of_another_issuer_is_refused(
    issuer: Issuer, tokens: OidcTokens, caplog: pytest.LogCaptureFixture, other: Any
) -> None:
    """OIDC Discovery §4.3. Neither its keys nor its endpoints are used; the log names both issuers."""
    issuer.document = {"issuer": other.format(issuer.url) if isinstance(other, str) else other}
    with pytest.raises(Unavailable):
        tokens.authenticate(issuer.token())
    assert issuer.asked == ["/.well-known/openid-configuration"]
    assert f"oidc_issuer is '{issuer.url}'" in caplog.text
    with pytest.raises(Unavailable):
        publishing.Issuer(issuer.url).find_endpoint("authorization_endpoint")
    issuer.document = {}
    assert tokens.authenticate(issuer.token()) is not None


@pytest.mark.usefixtures("tokens")
def test_keys_that_the_settings_place_need_no_discovery_document(issuer: Issuer) -> None:
    issuer.document = {"issuer": "https://other.example.org"}
    tokens = OidcTokens(publishing.Issuer(issuer.url, f"{issuer.url}/keys"), AUDIENCE)
    assert tokens.authenticate(issuer.token()) is not None


@pytest.mark.parametrize(
    "keys", [{"keys": {}}, {"keys": None}, {}, [], {"keys": [None, 3, {}, {"kty": "RSA"}]}], ids=repr
)
def test_what_is_no_set_of_keys(issuer: Issuer, tokens: OidcTokens, keys: Any) -> None:
    issuer.answer = keys
    with pytest.raises((Unavailable, Unauthenticated)):
        tokens.authenticate(issuer.token())
