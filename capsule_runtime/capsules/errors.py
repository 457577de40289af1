"""What can be refused about capsules, grants, sources, consents and budgets."""

from __future__ import annotations

from capsule_runtime.errors import CapsuleError
from trust.ids import CapsuleId
from trust.problem import Kind


class DatabaseRefused(CapsuleError):
    """A state file that is damaged, of another program, or written by a newer version."""

    code = "database-refused"
    kind = Kind.INVALID


class CiphertextRefused(CapsuleError):
    """Encrypted bytes that were cut, altered, or made for another key or context."""

    code = "ciphertext-refused"
    kind = Kind.UNVERIFIED
    advice = (
        "take the capsule and its grant anew from their owner: the bytes or the key were damaged"
    )


class CapsuleMalformed(CapsuleError):
    """A capsule file that does not have the form of one."""

    code = "capsule-malformed"
    kind = Kind.INVALID
    advice = (
        "host an undamaged copy of the file, or let its owner seal the data again with "
        "`cadastre capsule seal`"
    )


class CapsuleCorrupted(CapsuleError):
    """A capsule whose bytes are not the ones that its owner signed."""

    code = "capsule-corrupted"
    kind = Kind.UNVERIFIED


class CapsuleConflict(CapsuleError):
    """Another capsule is hosted under the same id, or its fixed properties changed."""

    code = "capsule-conflict"
    kind = Kind.CONFLICT


class CapsuleMissing(CapsuleError):
    """No such capsule is hosted here."""

    code = "capsule-missing"
    kind = Kind.NOT_FOUND


class CapsuleErased(CapsuleError):
    """The capsule was erased at its owner's request; its id never comes back."""

    code = "capsule-erased"
    kind = Kind.REFUSED


class CardRefused(CapsuleError):
    """A worker card that is malformed, or not signed by the worker that it names."""

    code = "card-refused"
    kind = Kind.UNVERIFIED


class GrantRefused(CapsuleError):
    """A grant that is malformed, for somebody else, or not by the capsule's owner."""

    code = "grant-refused"
    kind = Kind.UNVERIFIED
    advice = "let the owner make a new grant for this worker's card with `cadastre capsule grant`"


class GrantExpired(CapsuleError):
    """The owner's grant is over; the capsule stays closed until the owner renews it."""

    code = "grant-expired"
    kind = Kind.REFUSED


class GrantMissing(CapsuleError):
    """No grant lets this worker open the capsule."""

    code = "grant-missing"
    kind = Kind.NOT_FOUND


class MappingRefused(CapsuleError):
    """A mapping file that does not say clearly how a source becomes tables."""

    code = "mapping-refused"
    kind = Kind.INVALID


class SourceRefused(CapsuleError):
    """A source file whose cell, column or form is not what the mapping expects."""

    code = "source-refused"
    kind = Kind.INVALID


class OwnerDirectoryRefused(CapsuleError):
    """An owner's directory that is missing, damaged, exists already or is too open."""

    code = "owner-directory-refused"
    kind = Kind.INVALID


class ConsentMissing(CapsuleError):
    """The owner never said yes to this use. The default is no."""

    code = "consent-missing"
    kind = Kind.REFUSED


class ConsentRevoked(CapsuleError):
    """The owner withdrew."""

    code = "consent-revoked"
    kind = Kind.REFUSED


class ConsentExpired(CapsuleError):
    """The owner's yes is over."""

    code = "consent-expired"
    kind = Kind.REFUSED


class ConsentStale(CapsuleError):
    """A serial that is not above the one already known."""

    code = "consent-stale-serial"
    kind = Kind.CONFLICT


class ConsentRefused(CapsuleError):
    """A consent that is malformed, too long-lived, or not by the capsule's owner."""

    code = "consent-refused"
    kind = Kind.UNVERIFIED
    advice = (
        "let the owner sign a new one with `cadastre consent grant` and hand it in with "
        "`cadastre consent submit`"
    )


class LedgerConflict(CapsuleError):
    """A retry that does not ask for the same charge as the first time."""

    code = "ledger-conflict"
    kind = Kind.CONFLICT


class LedgerRestored(CapsuleError):
    """The ledger is older than, or differs from, what was seen of it before."""

    code = "ledger-restored"
    kind = Kind.UNVERIFIED


class BudgetExhausted(CapsuleError):
    """No capsule of the batch has enough privacy budget left.

    `skipped` is for this worker only: neither the sentence nor `ids` name a capsule.
    """

    code = "budget-exhausted"
    kind = Kind.EXHAUSTED

    def __init__(self, sentence: str, *, skipped: frozenset[CapsuleId], remedy: str = "") -> None:
        super().__init__(sentence, remedy=remedy)
        self.skipped = skipped
