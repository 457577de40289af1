"""Who this terminal is: keys, certificate and the territory's roots in one private folder.

`member.json` is written last: an interrupted join leaves a folder that may be joined again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from client.errors import IdentityMissing, InputRefused
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
_LONGEST = 4 * 1024 * 1024  # bytes of one file: an envelope is the largest


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
    roots: tuple[TrustedRoot, ...]  # from the pinned one on
    certificate: x509.Certificate
    tls: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def root(self) -> TrustedRoot:
        """The newest root that this terminal knows."""
        return self.roots[-1]

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

    def rotated(self, raw: bytes) -> Identity:
        """The same terminal under the next territory root. Raises RootRefused, SignatureInvalid.

        If we crash between the two writes, the root lies there unread and is fetched again.
        """
        following = root.rotate(self.root, raw)
        member = replace(self.member, roots=self.member.roots + 1)
        write_atomic(self.folder / f"root-{self.member.roots}.json", raw)
        write_atomic(self.folder / "member.json", schema.encode(member))
        return replace(self, roots=(*self.roots, following), member=member)


def draw_keys(folder: Path, entropy: Entropy) -> tuple[PrivateKey, ec.EllipticCurvePrivateKey]:
    """Fresh keys in `folder`, or those of an interrupted join.

    Raises StorageFailed, and InputRefused where somebody has joined already: a second join that
    is interrupted would leave the roots of two territories.
    """
    if (folder / "member.json").exists():
        raise InputRefused(
            f"{folder} holds an identity already", remedy="join as another folder: --as FOLDER"
        )
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
        member = schema.decode(Member, _read(folder / "member.json"))
        chain = [_read(folder / f"root-{index}.json") for index in range(member.roots)]
        certificate = x509.load_pem_x509_certificate(_read(folder / "certificate.pem"))
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
    tls = _tls_key(folder)
    if certificate.public_key() != tls.public_key():
        raise IdentityMissing(
            f"the certificate in {folder} is not for the key beside it",
            remedy="restore the folder from one backup, or join again in another folder",
        )
    return Identity(folder, member, root.versions(chain, member.pin), certificate, tls)


def _tls_key(folder: Path) -> ec.EllipticCurvePrivateKey:
    path = folder / "tls.key"
    try:
        # One descriptor for both questions: a name may point elsewhere a moment later.
        with path.open("rb") as stream:
            shared = os.fstat(stream.fileno()).st_mode & 0o077
            pem = stream.read(_LONGEST)
    except OSError as error:
        raise IdentityMissing(
            f"{path} is not readable",
            remedy=f"run this as the user who joined, or restore {folder} from one backup",
        ) from error
    if shared:
        raise IdentityMissing(
            f"{path} can be read by other users",
            remedy=f"chmod 600 {path}, and consider the key seen: join again",
        )
    return certificates.key_from_pem(pem)


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_LONGEST)
