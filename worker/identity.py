"""Who this worker is: keys, certificate, territory root and card in one private directory.

`<state>/`: node.key (Ed25519, signs what the worker says), hpke.key (X25519, opens grants),
tls.key and certificate.pem (mutual TLS), roots/<n>.json (the walked chain), identity.json
(names and addresses), card.json (for owners). `identity.json` is written last: a join that was
interrupted leaves a directory that is not joined and may be tried again.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from capsule_runtime.capsules.card import make_card
from durable.errors import StorageFailed
from durable.files import make_directory, write_atomic
from durable.keyfile import read_key, write_key
from trust import certificates, root, schema
from trust.entropy import Entropy
from trust.errors import Malformed
from trust.ids import Digest, WorkerId
from trust.keys import PrivateKey
from trust.root import TrustedRoot
from worker.errors import AlreadyJoined, IdentityRefused, NotJoined

PRIVATE_DIRECTORY = 0o700
PRIVATE_FILE = 0o600
_HPKE_MAGIC = "cadastre-key-v1 x25519 "
_MAXIMUM_FILE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Names:
    """`identity.json`: what is not a key."""

    territory: str
    pin: Digest  # of the first root's envelope, as the token pinned it
    operator: str
    site: str
    work_address: str  # host:port of the mTLS services
    site_url: str  # where the scheduler serves roots and log as files


@dataclass(frozen=True)
class NodeKeys:
    """The three private keys of a node."""

    node: PrivateKey
    hpke: X25519PrivateKey = field(repr=False)
    tls: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def draw(cls, entropy: Entropy) -> NodeKeys:
        """Fresh keys. The P-256 key's randomness is the library's own."""
        return cls(
            PrivateKey.generate(entropy),
            X25519PrivateKey.from_private_bytes(entropy(32)),
            certificates.new_key(),
        )

    @property
    def worker(self) -> WorkerId:
        """The id that the node key implies."""
        return self.node.public.worker_id

    @property
    def hpke_public(self) -> bytes:
        """The 32 bytes that owners wrap for."""
        return self.hpke.public_key().public_bytes_raw()


@dataclass(frozen=True)
class Identity:
    """A joined worker."""

    state: Path
    names: Names
    keys: NodeKeys
    certificate: x509.Certificate
    root: TrustedRoot

    @property
    def worker(self) -> WorkerId:
        """This worker's id."""
        return self.keys.worker

    @property
    def authority_pem(self) -> bytes:
        """The territory's certificate authority, from its root."""
        return certificates.to_pem(certificates.from_der(self.root.document.authority))

    def renewed(self, certificate: x509.Certificate) -> Identity:
        """The same worker with a fresh certificate, written before it is used."""
        _write(self.state / "certificate.pem", certificates.to_pem(certificate), 0o644)
        return replace(self, certificate=certificate)

    def rotated(self, raw: bytes) -> Identity:
        """The same worker under the next territory root. Raises RootRefused, SignatureInvalid."""
        following = root.rotate(self.root, raw)
        _write(_root_path(self.state, following.document.version), raw, 0o644)
        return replace(self, root=following)


def require_fresh(state: Path) -> None:
    """Raise AlreadyJoined when `state` holds an identity."""
    if (state / "identity.json").exists():
        raise AlreadyJoined(
            f"{state} holds a worker's identity already",
            remedy="run it with `cadastre worker run`, or join in another --state directory",
        )


def load_or_draw_keys(state: Path, entropy: Entropy) -> NodeKeys:
    """The keys of an interrupted join, or fresh ones, on disk. Raises StorageFailed."""
    make_directory(state, PRIVATE_DIRECTORY)
    if not (state / "tls.key").exists():
        for name in ("node.key", "node.key.pub", "hpke.key"):
            (state / name).unlink(missing_ok=True)
        keys = NodeKeys.draw(entropy)
        write_key(state / "node.key", keys.node)
        wrapped = base64.b64encode(keys.hpke.private_bytes_raw()).decode()
        _write(state / "hpke.key", f"{_HPKE_MAGIC}{wrapped}\n".encode(), PRIVATE_FILE)
        _write(state / "tls.key", certificates.key_to_pem(keys.tls), PRIVATE_FILE)
    return _read_keys(state)


def establish(
    state: Path,
    names: Names,
    certificate: x509.Certificate,
    chain: tuple[bytes, ...],
) -> Identity:
    """Write what enrolment gave; the worker is joined when this returns.

    `chain` is the roots from the pinned one on. Raises RootRefused, IdentityRefused,
    StorageFailed.
    """
    require_fresh(state)
    trusted = root.walk(chain, names.pin)
    keys = _read_keys(state)
    make_directory(state / "roots", PRIVATE_DIRECTORY)
    for version, raw in enumerate(chain, start=trusted.document.version - len(chain) + 1):
        _write(_root_path(state, version), raw, 0o644)
    _write(state / "certificate.pem", certificates.to_pem(certificate), 0o644)
    card = make_card(
        keys.node, keys.hpke, territory=names.territory, operator=names.operator, site=names.site
    )
    _write(state / "card.json", card, 0o644)
    _write(state / "identity.json", schema.encode(names) + b"\n", PRIVATE_FILE)
    return load(state)


def load(state: Path) -> Identity:
    """The identity in `state`. Raises NotJoined, IdentityRefused, RootRefused."""
    if not (state / "identity.json").exists():
        raise NotJoined(
            f"{state} holds no worker's identity",
            remedy="join first: cadastre worker join TOKEN --state DIR",
        )
    try:
        names = schema.decode(Names, _read(state / "identity.json"))
        certificate = x509.load_pem_x509_certificate(_read(state / "certificate.pem"))
    except (Malformed, ValueError) as error:
        raise _damaged(state / "identity.json or certificate.pem") from error
    paths = _root_paths(state)
    trusted = root.walk([_read(path) for path in paths], names.pin)
    keys = _read_keys(state)
    if certificate.public_key() != keys.tls.public_key():
        raise IdentityRefused(
            "certificate.pem is not for tls.key",
            remedy="restore the directory from one backup, or join again",
        )
    return Identity(state, names, keys, certificate, trusted)


def _read_keys(state: Path) -> NodeKeys:
    node = read_key(state / "node.key")
    tls = certificates.key_from_pem(_read_private(state / "tls.key"))
    text = _read_private(state / "hpke.key").decode("ascii", "replace").strip()
    try:
        seed = base64.b64decode(text.removeprefix(_HPKE_MAGIC), validate=True)
        hpke = X25519PrivateKey.from_private_bytes(seed)
    except (binascii.Error, ValueError) as error:
        raise _damaged(state / "hpke.key") from error
    return NodeKeys(node, hpke, tls)


def _root_paths(state: Path) -> list[Path]:
    """The kept roots in the order of their versions. Raises IdentityRefused."""
    found: dict[int, Path] = {}
    for path in (state / "roots").glob("*.json"):
        if not (path.stem.isascii() and path.stem.isdecimal()):
            raise IdentityRefused(
                f"{path} is no territory root of this worker",
                remedy="take it out of there: the directory holds <version>.json only",
            )
        found[int(path.stem)] = path
    if not found:
        raise _damaged(state / "roots")
    return [found[version] for version in sorted(found)]


def _root_path(state: Path, version: int) -> Path:
    return state / "roots" / f"{version}.json"


def _write(path: Path, data: bytes, mode: int) -> None:
    write_atomic(path, data, mode)


def _read_private(path: Path) -> bytes:
    """A key's bytes. Raises IdentityRefused when others may read them too."""
    try:
        mode = path.stat().st_mode
    except OSError:
        mode = 0  # `_read` says what is wrong
    if mode & 0o077:
        raise IdentityRefused(
            f"{path} can be read by other users",
            remedy=f"chmod 600 {path}, and consider the key seen: join again",
        )
    return _read(path)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAXIMUM_FILE_BYTES:
            raise _damaged(path)
        return path.read_bytes()
    except OSError as error:
        raise StorageFailed(
            f"could not read {path}: {error.strerror}",
            remedy="check its permissions, or join again in a new directory",
        ) from error


def _damaged(path: Path) -> IdentityRefused:
    return IdentityRefused(f"{path} is damaged", remedy="restore it from a backup, or join again")
