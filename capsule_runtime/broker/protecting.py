"""How one order's sum leaves the broker: settled before anybody is charged, done at the end.

Whatever can be found wrong with keys and plan is found by `prepare`, while it costs nobody
anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from capsule_runtime import guard
from capsule_runtime.broker.errors import SealingUnfit
from capsule_runtime.broker.messages import Contribute, Sealing
from capsule_runtime.broker.program import Program
from capsule_runtime.encrypting import EncryptedSum, encryptor_of, protect_encrypted
from capsule_runtime.sharing import SharedSum, protect_shared
from jobs import aggregate as aggregate_blobs
from protection.ckks.profile import profile_of
from protection.ckks.scheme import Encryptor
from protection.scope import Binding, Scope
from protection.seeds import helper_key
from trust.documents.rules import DataClass, Protection
from trust.entropy import Entropy
from trust.ids import Digest, WorkerId

Protected = guard.ProtectedSum | SharedSum | EncryptedSum


@dataclass(frozen=True)
class Reporter:
    """In whose name the broker reports."""

    territory: str
    worker: WorkerId


@dataclass(frozen=True)
class Protector:
    """One order's protection, with the keys that it needs; made by `prepare`."""

    program: Program
    sealing: Sealing | None
    encryptor: Encryptor | None

    def protect(
        self,
        total: guard.Sum,
        order: Contribute,
        parameters: bytes,
        reporter: Reporter,
        entropy: Entropy,
        *,
        data_class: DataClass,
    ) -> tuple[Protected, tuple[bytes, ...]]:
        """What may leave: the sum's blob, and the sealed seed where a helper has a part in it.

        `data_class` is the most protected class among the capsules. Raises CohortTooSmall,
        NoiselessRefused, PartialTooLarge, EncryptionFailed.
        """
        rules, rounds = self.program.rules, self.program.rounds
        if self.sealing is None:
            clear = guard.protect_clear(rules, total, entropy, data_class=data_class, rounds=rounds)
            return clear, (aggregate_blobs.encode_partial(rules, clear.values),)
        binding = _binding(self.program, self.sealing, order, parameters, reporter)
        helper = self.sealing.helper
        if self.encryptor is None:
            shared = protect_shared(
                rules, total, binding, helper, entropy, data_class=data_class, rounds=rounds
            )
            return shared, (shared.share, shared.sealed)
        encrypted = protect_encrypted(
            rules,
            total,
            binding,
            entropy,
            helper=helper,
            encryptor=self.encryptor,
            data_class=data_class,
            rounds=rounds,
        )
        return encrypted, (encrypted.ciphertext, encrypted.sealed)


def prepare(program: Program, order: Contribute, public: bytes | None) -> Protector:
    """The protection that the bundle was voted with; `public` is the epoch's public key.

    Raises SealingUnfit, SeedRefused, TensealMissing, KeyMaterialRefused.
    """
    protection, sealing = program.rules[0].protection, order.sealing
    _require((protection is not Protection.CLEAR) == (sealing is not None), "a helper's key")
    if sealing is not None:
        helper_key(sealing.helper)
    encrypted = protection is Protection.ENCRYPTED
    profile = None if sealing is None else sealing.profile
    _require(encrypted == (profile is not None) == (public is not None), "an epoch's key")
    if profile is None or public is None:
        return Protector(program, sealing, None)
    wanted = profile_of(program.rules).name
    if profile != wanted:
        raise SealingUnfit(
            f"the epoch's key is of the profile {profile[:40]!r}, this vote is for {wanted}",
            remedy=f"the keyholder holds another campaign's ceremony with the profile {wanted}",
        )
    return Protector(program, sealing, encryptor_of(program.rules, public))


def _binding(
    program: Program, sealing: Sealing, order: Contribute, parameters: bytes, reporter: Reporter
) -> Binding:
    """The report, in this process's own words: of what it ran, with which parameters."""
    scope = Scope(
        territory=reporter.territory,
        campaign=order.campaign,
        round=order.round,
        bundle=program.bundle,
        plan=sealing.plan,
        parameters=Digest.of(parameters),
    )
    return Binding(scope, reporter.worker, sealing.report)


def _require(condition: bool, what: str) -> None:  # noqa: FBT001
    if not condition:
        raise SealingUnfit(
            f"{what} is missing, or came for a bundle whose protection has no use for it",
            remedy="the plan and the vote do not fit together: tell the scheduler's operator",
        )
