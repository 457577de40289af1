"""Who this terminal is: keys, certificate and the territory's roots in one private folder.

`member.json` is written last: an interrupted join leaves a folder that may be joined again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from client.errors import IdentityMissing
from durable.files import make_directory, write_atomic
from durable.keyfile import read_key, write_key
from trust import certificates, root, schema
from trust.entropy import Entropy
from trust.errors import Malformed
from trust.ids import Digest
from trust.keys import PrivateKey
from trust.root import TrustedRoot
from wire.channel import TlsIdentity
from wire.enrolment import Membership

DEFAULT = Path("~/.config/cadastre/operator")


@dataclass(frozen=True)
class Member:
    """`member.json`: what is not a key."""

    name: str
    role: str
    pin: Digest
    roots: int  # how many root envelopes stand beside, from the pinned one on
    work_address: str
    site: str


@dataclass(frozen=True)
class Identity:
    """A terminal that has joined a territory."""

    folder: Path
    member: Member
    root: TrustedRoot
    certificate: x509.Certificate
    tls: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def tls_identity(self) -> TlsIdentity:
        """What the channel shows to the other side."""
        return TlsIdentity(certificates.to_pem(self.certificate), certificates.key_to_pem(self.tls))

    @property
    def authority_pem(self) -> bytes:
        """The territory's certificate authority, from its root."""
        return certificates.to_pem(certificates.from_der(self.root.document.authority))

    def renewed(self, certificate: x509.Certificate) -> Identity:
        """The same identity with a fresh certificate, written before it is used."""
        write_atomic(self.folder / "certificate.pem", certificates.to_pem(certificate))
        return replace(self, certificate=certificate)


def draw_keys(folder: Path, entropy: Entropy) -> tuple[PrivateKey, ec.EllipticCurvePrivateKey]:
    """Fresh keys in `folder`, or those of an interrupted join. Raises StorageFailed."""
    make_directory(folder, 0o700)
    if not (folder / "node.key").exists():
        write_key(folder / "node.key", PrivateKey.generate(entropy))
    if not (folder / "tls.key").exists():
        pem = certificates.key_to_pem(certificates.new_key())
        write_atomic(folder / "tls.key", pem, mode=0o600)
    return read_key(folder / "node.key"), _tls_key(folder)


def establish(folder: Path, membership: Membership, site: str) -> Identity:
    """Write what joining gave; the terminal is a member when this returns."""
    for index, raw in enumerate(membership.chain):
        write_atomic(folder / f"root-{index}.json", raw)
    write_atomic(folder / "certificate.pem", certificates.to_pem(membership.certificate))
    member = Member(
        name=membership.name,
        role=membership.role,
        pin=Digest.of(membership.chain[0]),
        roots=len(membership.chain),
        work_address=membership.work_address,
        site=site,
    )
    write_atomic(folder / "member.json", schema.encode(member))
    return load(folder)


def load(folder: Path) -> Identity:
    """The identity in `folder`. Raises IdentityMissing, RootRefused, CertificateRefused."""
    try:
        member = schema.decode(Member, (folder / "member.json").read_bytes())
        chain = [(folder / f"root-{index}.json").read_bytes() for index in range(member.roots)]
        certificate = x509.load_pem_x509_certificate((folder / "certificate.pem").read_bytes())
    except FileNotFoundError as error:
        raise IdentityMissing(
            f"{folder} holds no identity of a territory",
            remedy="join first: cadastre operator join TOKEN --as FOLDER",
        ) from error
    except (OSError, ValueError, Malformed) as error:
        raise IdentityMissing(
            f"the identity in {folder} is damaged or not readable by this user",
            remedy="join again in another folder with a fresh token",
        ) from error
    return Identity(folder, member, root.walk(chain, member.pin), certificate, _tls_key(folder))


def _tls_key(folder: Path) -> ec.EllipticCurvePrivateKey:
    try:
        return certificates.key_from_pem((folder / "tls.key").read_bytes())
    except OSError as error:
        raise IdentityMissing(f"{folder / 'tls.key'} is not readable") from error
