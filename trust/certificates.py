"""X.509 for mTLS: a private authority, short-lived ECDSA P-256 leaves, names as SPIFFE ids.

P-256 because grpcio's BoringSSL refuses Ed25519 certificates; 24 hours because there is no
revocation list in grpcio: short lives and a deny list replace it.
Names: `spiffe://<territory>/<role>/<name>`; a worker's name is its `wrk_…` id, so that the
certificate and the Ed25519 key that signs its reports cannot be mixed.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from trust.errors import CertificateRefused

LEAF_LIFE = timedelta(hours=24)
AUTHORITY_LIFE = timedelta(days=3650)
# Clocks of city desktops differ; a certificate is valid a little before it was made.
BACKDATE = timedelta(minutes=5)
# A P-256 request has about 250 bytes; anyone may send one to the enrolment port.
MAXIMUM_REQUEST_BYTES = 16 * 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")


class Role(enum.StrEnum):
    """What a certificate's holder may call."""

    WORKER = "worker"
    OPERATOR = "operator"
    AUTHOR = "author"
    AUDITOR = "auditor"
    SCHEDULER = "scheduler"


@dataclass(frozen=True)
class Peer:
    """Who is at the other end, as its certificate says."""

    territory: str
    role: Role
    name: str
    serial: int


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key (the library draws its own randomness)."""
    return ec.generate_private_key(ec.SECP256R1())


def key_to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS#8, unencrypted: the file's mode protects it."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def key_from_pem(data: bytes) -> ec.EllipticCurvePrivateKey:
    """The key in `data`. Raises CertificateRefused."""
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except ValueError as error:
        raise CertificateRefused("the TLS key file is damaged") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateRefused("the TLS key is not an elliptic-curve key")
    return key


def to_pem(certificate: x509.Certificate) -> bytes:
    """The certificate as grpcio wants it."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def to_der(certificate: x509.Certificate) -> bytes:
    """The certificate as documents carry it."""
    return certificate.public_bytes(serialization.Encoding.DER)


def from_der(data: bytes) -> x509.Certificate:
    """The certificate in `data`. Raises CertificateRefused."""
    try:
        return x509.load_der_x509_certificate(data)
    except ValueError as error:
        raise CertificateRefused("the bytes are not an X.509 certificate") from error


def make_authority(
    key: ec.EllipticCurvePrivateKey, territory: str, now: datetime
) -> x509.Certificate:
    """The territory's self-signed authority; it signs leaves only (path length 0)."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Cadastre {territory}"[:64])])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def make_request(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """A PKCS#10 request (DER) that proves possession of `key`."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def issue(
    authority_key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    request: bytes,
    *,
    territory: str,
    role: Role,
    name: str,
    now: datetime,
    hosts: Sequence[str] = (),
) -> x509.Certificate:
    """A leaf of 24 h for the key in `request`. Raises CertificateRefused.

    `hosts` are the DNS names and addresses of a server; only the scheduler role has any, and
    only it gets the serverAuth usage. Nothing but the public key is taken from the request.
    """
    public_key = _requested_key(request)
    if not _NAME.fullmatch(name):
        raise CertificateRefused(
            f"{name[:64]!r} cannot name a certificate",
            remedy="use 1 to 63 lower-case letters, digits, dots, dashes or underscores",
        )
    server = role is Role.SCHEDULER
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
    names: list[x509.GeneralName] = [
        x509.UniformResourceIdentifier(f"spiffe://{territory}/{role.value}/{name}"),
        *(_host_name(host) for host in hosts if server),
    ]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(authority.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def peer_of(certificate: x509.Certificate, territory: str, now: datetime) -> Peer:
    """Who holds `certificate` (whose chain TLS has checked). Raises CertificateRefused."""
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise CertificateRefused(
            "the certificate is not valid now",
            remedy="renew it, and check both machines' clocks",
        )
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, ValueError) as error:
        raise CertificateRefused("the certificate names nobody") from error
    parts = uris[0].removeprefix("spiffe://").split("/") if len(uris) == 1 else []
    if len(parts) != 3 or parts[0] != territory or parts[1] not in set(Role):
        raise CertificateRefused(f"the certificate is not one of {territory}")
    return Peer(parts[0], Role(parts[1]), parts[2], certificate.serial_number)


def renew_after(certificate: x509.Certificate) -> datetime:
    """The moment from which a leaf should be renewed: half of its life."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return start + (end - start) / 2


def _requested_key(request: bytes) -> ec.EllipticCurvePublicKey:
    if len(request) > MAXIMUM_REQUEST_BYTES:
        raise CertificateRefused(f"a certificate request has at most {MAXIMUM_REQUEST_BYTES} bytes")
    try:
        parsed = x509.load_der_x509_csr(request)
        key = parsed.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateRefused("the certificate request is not PKCS#10") from error
    # The kind of key first: checking a huge key's signature is the sender's work for us to do.
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CertificateRefused(
            "the certificate request is not for an ECDSA P-256 key",
            remedy="make a P-256 key: other curves do not work with gRPC here",
        )
    try:
        possessed = parsed.is_signature_valid
    except (ValueError, UnsupportedAlgorithm):
        possessed = False
    if not possessed:
        raise CertificateRefused("the certificate request does not prove possession of its key")
    return key


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
