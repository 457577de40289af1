"""The scheduler's state directory: what lies where, made once by `init` and `install-root`.

config.json         territory, hosts, ports
keys/orders, log    Ed25519 keys (0600); keys/authority.pem: the certificate authority's
authority.der       its certificate
offer.json          the public halves, for the root ceremony
roots/<n>.json      installed territory roots
log/ objects/ staging/ scheduler.db
"""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography import x509

from durable.files import make_directory, write_atomic
from durable.keyfile import read_key, write_key
from scheduler.errors import StateRefused
from scheduler.log.errors import LogExists
from scheduler.log.writer import LogWriter
from scheduler.service.desk import Authority
from trust import certificates, root
from trust.clock import Clock
from trust.documents.root import Duty
from trust.entropy import Entropy
from trust.ids import Digest
from trust.keys import PrivateKey
from trust.log.note import LogKey
from trust.log.policy import Policy
from trust.root import TrustedRoot

_PRIVATE = 0o700


@dataclass(frozen=True)
class Configuration:
    """What `init` was told. `hosts` are the names and addresses in the server's certificate."""

    territory: str
    hosts: list[str]
    work_port: int
    enrol_port: int
    http_port: int
    site: str

    @property
    def work_address(self) -> str:
        """Where members reach the mTLS services."""
        return f"{self.hosts[0]}:{self.work_port}"

    @property
    def enrol_address(self) -> str:
        """Where newcomers reach enrolment."""
        return f"{self.hosts[0]}:{self.enrol_port}"


class State:
    """A state directory; nothing is read until it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "scheduler.db"
        self.log = folder / "log"
        self.objects = folder / "objects"
        self.staging = folder / "staging"

    @property
    def origin(self) -> str:
        """The log's origin: the name in its checkpoints."""
        return f"{self.configuration().territory}/log"

    def create(self, configuration: Configuration, clock: Clock, entropy: Entropy) -> None:
        """Draw keys and write the offer. Raises StateRefused when there is a state already."""
        if (self.folder / "config.json").exists():
            raise StateRefused(
                f"{self.folder} holds a scheduler's state already",
                remedy="choose another --state, or go on with `cadastre scheduler install-root`",
            )
        make_directory(self.folder, _PRIVATE)
        make_directory(self.folder / "keys", _PRIVATE)
        for name in ("orders", "log"):
            path = self.folder / "keys" / name
            if not path.exists():
                write_key(path, PrivateKey.generate(entropy))
        key = certificates.new_key()
        pem = certificates.key_to_pem(key)
        write_atomic(self.folder / "keys" / "authority.pem", pem, mode=0o600)
        certificate = certificates.make_authority(key, configuration.territory, clock.now())
        write_atomic(self.folder / "authority.der", certificates.to_der(certificate))
        log = LogKey(f"{configuration.territory}/log", self.log_key().public)
        offer = {
            "territory": configuration.territory,
            "orders_key": str(self.orders_key().public),
            "authority": base64.b64encode(certificates.to_der(certificate)).decode(),
            "log_vkey": str(log),
            "site": configuration.site,
        }
        write_atomic(self.folder / "offer.json", json.dumps(offer, indent=2).encode() + b"\n")
        # Last: a crash before it leaves a directory in which `init` starts again.
        text = json.dumps(asdict(configuration), indent=2)
        write_atomic(self.folder / "config.json", text.encode() + b"\n")

    def configuration(self) -> Configuration:
        """What `init` wrote. Raises StateRefused."""
        try:
            return Configuration(**json.loads((self.folder / "config.json").read_bytes()))
        except FileNotFoundError as error:
            raise StateRefused(
                f"{self.folder} holds no scheduler's state",
                remedy="make it first: cadastre scheduler init --state DIR --territory NAME",
            ) from error
        except (ValueError, TypeError) as error:
            raise StateRefused(
                f"{self.folder / 'config.json'} is damaged", remedy="restore it from a backup"
            ) from error

    def orders_key(self) -> PrivateKey:
        """Signs plans, orders, openings, releases, enrolments."""
        return read_key(self.folder / "keys" / "orders")

    def log_key(self) -> PrivateKey:
        """Signs checkpoints."""
        return read_key(self.folder / "keys" / "log")

    def authority(self) -> Authority:
        """The private certificate authority. Raises StateRefused."""
        try:
            key = certificates.key_from_pem((self.folder / "keys" / "authority.pem").read_bytes())
            certificate = x509.load_der_x509_certificate(
                (self.folder / "authority.der").read_bytes()
            )
        except (OSError, ValueError) as error:
            raise StateRefused("the certificate authority's files cannot be read") from error
        return Authority(key, certificate)

    def roots(self) -> list[bytes]:
        """The installed roots' envelopes, oldest first."""
        paths = sorted((self.folder / "roots").glob("*.json"), key=lambda path: int(path.stem))
        return [path.read_bytes() for path in paths]

    def trusted_root(self) -> TrustedRoot:
        """The newest installed root. Raises StateRefused, RootRefused."""
        chain = self.roots()
        if not chain:
            raise StateRefused(
                "no territory root is installed",
                remedy="sign one with the cooperative, then: cadastre scheduler install-root",
            )
        return root.walk(chain, Digest.of(chain[0]))

    def install_root(self, raw: bytes, clock: Clock) -> TrustedRoot:
        """Install a first root or a successor; creates the log with the first.

        Raises RootRefused, StateRefused when the root does not certify this scheduler.
        """
        chain = self.roots()
        if raw in chain:
            trusted = self.trusted_root()
        elif chain:
            trusted = root.rotate(self.trusted_root(), raw)
        else:
            trusted = root.trust_pinned(raw, Digest.of(raw))
        self._require_own_keys(trusted)
        if not chain and trusted.document.version != 1:
            raise StateRefused("the first root to install is version 1")
        make_directory(self.folder / "roots")
        path = self.folder / "roots" / f"{trusted.document.version}.json"
        if not path.exists():
            write_atomic(path, raw)
        make_directory(self.log, _PRIVATE)
        # Installed before, or a crash after the creation: it is this key's log.
        with suppress(LogExists):
            LogWriter.create(self.log, self.log_key(), self.origin, clock)
        return trusted

    def _require_own_keys(self, trusted: TrustedRoot) -> None:
        document = trusted.document
        policy = Policy.parse(document.log_policy.encode())
        own = {
            "territory": document.territory == self.configuration().territory,
            "orders key": self.orders_key().public in trusted.keys(Duty.ORDERS).keys,
            "certificate authority": document.authority
            == (self.folder / "authority.der").read_bytes(),
            "log key": LogKey(self.origin, self.log_key().public)
            in {log.key for log in policy.logs},
        }
        missing = [name for name, held in own.items() if not held]
        if missing:
            raise StateRefused(
                f"the root does not list this scheduler's {', '.join(missing)}",
                remedy="draft the root from this state's offer.json, and have that one signed",
            )
