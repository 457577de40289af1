from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from trust import certificates
from trust.certificates import Role
from trust.errors import CertificateRefused

pytestmark = pytest.mark.base

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TERRITORY = "plaine-commune.example"
AUTHORITY_KEY = certificates.new_key()
AUTHORITY = certificates.make_authority(AUTHORITY_KEY, TERRITORY, NOW)


def issue(role: Role = Role.WORKER, name: str = "wrk_0", **extra: object) -> x509.Certificate:
    request = certificates.make_request(certificates.new_key(), "whoever")
    return certificates.issue(
        AUTHORITY_KEY,
        AUTHORITY,
        request,
        territory=TERRITORY,
        role=role,
        name=name,
        now=NOW,
        **extra,  # type: ignore[arg-type]
    )


def test_a_leaf_says_who_holds_it_for_a_day() -> None:
    leaf = issue()
    leaf.verify_directly_issued_by(AUTHORITY)
    peer = certificates.peer_of(leaf, TERRITORY, NOW)
    assert (peer.territory, peer.role, peer.name) == (TERRITORY, Role.WORKER, "wrk_0")
    assert certificates.renew_after(leaf) < NOW + timedelta(hours=12)
    for moment in (NOW - timedelta(minutes=6), NOW + timedelta(hours=24)):
        with pytest.raises(CertificateRefused, match="not valid now"):
            certificates.peer_of(leaf, TERRITORY, moment)


def test_another_territory_is_refused() -> None:
    with pytest.raises(CertificateRefused, match="not one of"):
        certificates.peer_of(issue(), "elsewhere.example", NOW)


def test_only_a_scheduler_gets_server_usage_and_hosts() -> None:
    for role in Role:
        leaf = issue(role, hosts=["127.0.0.1", "localhost"])
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        is_server = x509.oid.ExtendedKeyUsageOID.SERVER_AUTH in usage
        assert is_server == (role is Role.SCHEDULER)
        assert bool(names.get_values_for_type(x509.DNSName)) == is_server


@pytest.mark.parametrize("name", ["", "Ünïcode", "a/b", "x" * 64, "a b", "-a"])
def test_names_that_could_confuse_are_refused(name: str) -> None:
    with pytest.raises(CertificateRefused, match="cannot name"):
        issue(name=name)


def _signed_request(key: object) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"not a request",
        _signed_request(ed25519.Ed25519PrivateKey.generate()),
        _signed_request(ec.generate_private_key(ec.SECP384R1())),
    ],
)
def test_requests_that_grpc_could_not_use_are_refused(request_bytes: bytes) -> None:
    with pytest.raises(CertificateRefused):
        certificates.issue(
            AUTHORITY_KEY,
            AUTHORITY,
            request_bytes,
            territory=TERRITORY,
            role=Role.WORKER,
            name="w",
            now=NOW,
        )


def test_a_request_for_somebody_elses_key_is_refused() -> None:
    honest = bytearray(certificates.make_request(certificates.new_key(), "w"))
    honest[-1] ^= 1
    with pytest.raises(CertificateRefused):
        certificates.issue(
            AUTHORITY_KEY,
            AUTHORITY,
            bytes(honest),
            territory=TERRITORY,
            role=Role.WORKER,
            name="w",
            now=NOW,
        )


def test_a_key_survives_its_file() -> None:
    key = certificates.new_key()
    again = certificates.key_from_pem(certificates.key_to_pem(key))
    assert again.private_numbers() == key.private_numbers()
    with pytest.raises(CertificateRefused):
        certificates.key_from_pem(b"garbage")
    assert certificates.from_der(certificates.to_der(AUTHORITY)) == AUTHORITY
    with pytest.raises(CertificateRefused):
        certificates.from_der(b"garbage")
