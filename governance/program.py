"""A program of the cooperative that acts under a key of its own, and the folder it keeps that in.

<name>.key      the private key of its duty (0600)
<name>.key.pub  its public half, for the territory root
<name>.sqlite   what it must not forget: governance.state_file
root.json       the root it acts under: governance.held_root
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from durable.files import make_directory
from durable.keyfile import read_key, write_key
from governance.errors import GovernanceError
from trust.documents.root import Duty
from trust.entropy import SYSTEM
from trust.keys import PrivateKey, PublicKey
from trust.root import TrustedRoot


@dataclass(frozen=True)
class Program:
    """One holder of a duty; `refused` is raised for a folder that it may not act from."""

    duty: Duty
    refused: type[GovernanceError]

    @property
    def name(self) -> str:
        """Its noun on the command line, and the stem of its files."""
        return self.duty.value

    @property
    def key_file(self) -> str:
        """Its private key's name in the folder."""
        return f"{self.name}.key"

    @property
    def state_file(self) -> str:
        """Its database's name in the folder."""
        return f"{self.name}.sqlite"

    def create(self, folder: Path) -> PublicKey:
        """A new key in `folder`. Raises `refused` when the folder has one."""
        if (folder / self.key_file).exists():
            raise self.refused(
                f"{folder} holds a {self.name} already",
                remedy="give another folder: keys are not replaced",
            )
        make_directory(folder, mode=0o700)
        key = PrivateKey.generate(SYSTEM)
        write_key(folder / self.key_file, key)
        return key.public

    def key(self, folder: Path) -> PrivateKey:
        """The key of `folder`. Raises KeyRefused or StorageFailed."""
        return read_key(folder / self.key_file)

    def sole_key(self, folder: Path, trusted: TrustedRoot) -> PrivateKey:
        """The key of `folder`, which may act alone. Raises `refused` where the root says not."""
        key, holders = self.key(folder), trusted.keys(self.duty)
        if key.public not in holders.keys or holders.threshold != 1:
            raise self.refused(
                f"key {key.public.keyid} may not act as {self.name} alone under this territory "
                "root",
                remedy=f"give the key whose .pub the root names with --{self.name}-key",
            )
        return key

    def require_served(self, folder: Path) -> None:
        """Raise `refused` for a folder that has no state yet: asking must not make any."""
        if not (folder / self.state_file).exists():
            raise self.refused(
                f"{folder} was never served from", remedy=f"start `cadastre {self.name} serve`"
            )
