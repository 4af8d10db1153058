"""A server that speaks TLS, and people that an issuer knows: the whole way from settings to answers."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import time
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from google.auth import identity_pool
from google.auth.exceptions import OAuthError
from google.auth.transport.requests import AuthorizedSession

from tests.support.issuer import AUDIENCE, Issuer
from tests.support.server import GantryServer


class Secured(GantryServer):
    """Known by a certificate of its own."""

    certificate = ""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def _ready(self) -> bool:
        context = ssl.create_default_context(cafile=self.certificate)
        self.secure = httpx.Client(base_url=self.url, verify=context)
        while self.process.poll() is None:
            try:
                return self.secure.get("/readyz").status_code == 200
            except httpx.TransportError:
                time.sleep(0.05)
        return False


def make_certificate(home: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    (home / "cert.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (home / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return home / "cert.pem", home / "key.pem"


@pytest.mark.slow
def test_groups_of_an_issuer_over_tls(issuer: Issuer, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    Secured.certificate = str(certificate)
    oidc = {"GANTRY_OIDC_ISSUER": issuer.url, "GANTRY_OIDC_AUDIENCE": AUDIENCE, "GANTRY_ADMINS": "group:radiology"}
    tls = {"GANTRY_TLS_CERT": str(certificate), "GANTRY_TLS_KEY": str(key), "GANTRY_AUTH": "required"}
    server = Secured(tmp_path / "data", tmp_path / "buckets", env=oidc | tls)
    try:
        assert f"ready at {server.url}" in server.log_text()
        path = "/v1/projects/p/locations/us-central1/datasets"
        for token, status in (
            (issuer.token(groups=["radiology"]), 200),
            (issuer.token(groups=["surgery"]), 403),
            (issuer.token(groups=["radiology"], exp=1), 401),
        ):
            answer = server.secure.get(path, headers={"authorization": f"Bearer {token}"})
            assert answer.status_code == status, answer.text
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{server.port}/readyz")
    finally:
        server.secure.close()
        server.stop()


@pytest.mark.slow
def test_workload_federation(issuer: Issuer, tmp_path: Path) -> None:
    """google-auth with an external_account file: the issuer's token becomes one of ours (§12.4.6, RFC 8693)."""
    env = {"GANTRY_OIDC_ISSUER": issuer.url, "GANTRY_OIDC_AUDIENCE": AUDIENCE, "GANTRY_AUTH": "required"}
    server = GantryServer(tmp_path / "data", tmp_path / "buckets", env=env | {"GANTRY_ADMINS": "group:radiology"})
    try:
        subject = tmp_path / "subject"
        described = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{server.url}/token",
            "credential_source": {"file": str(subject)},
        }
        scopes = ["https://www.googleapis.com/auth/cloud-platform"]
        path = f"{server.url}/v1/projects/p/locations/us-central1/datasets"
        for token, status in ((issuer.token(groups=["radiology"]), 200), (issuer.token(groups=["surgery"]), 403)):
            subject.write_text(token)
            credentials = identity_pool.Credentials.from_info(described, scopes=scopes)
            session = AuthorizedSession(credentials)
            assert session.get(path, timeout=20).status_code == status
        for token in (issuer.token(exp=1), issuer.token(iss="https://other.example.org"), "x"):
            subject.write_text(token)
            with pytest.raises(OAuthError, match="invalid_grant"):
                AuthorizedSession(identity_pool.Credentials.from_info(described, scopes=scopes)).get(path, timeout=20)
        twice = "grant_type=a&grant_type=b"
        assert server.request("POST", "token", content=twice).json()["error"] == "invalid_request"
    finally:
        server.stop()
