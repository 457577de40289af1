"""A trustee's three answers: their key, their share for one batch, and what they gave so far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from governance.batches.custody import dealing_of, epoch_of
from governance.trustee.errors import AlreadyGiven, NotMine, SummonsRefused, TrusteeStateRefused
from governance.trustee.memory import Given, Identity, Memory
from governance.trustee.summons import Judge, Opening
from protection import custody
from protection.custody import CustodyRefused, Leg
from protection.shamir import ShareInvalid
from trust import clock as clocks
from trust.clock import Clock
from trust.documents import signed
from trust.documents.custody import ShareReturned, TrusteeKey
from trust.documents.root import Duty
from trust.entropy import Entropy
from trust.ids import Digest
from trust.keys import PrivateKey
from wire.custody import Contribution, Summons

_SECRET_BYTES = 32


@dataclass(frozen=True)
class Trustee:
    """One person's program; `key` is theirs, and the root names it."""

    key: PrivateKey  # of Duty.TRUSTEE
    memory: Memory
    judge: Judge
    clock: Clock
    entropy: Entropy

    def certificate(self) -> bytes:
        """The TrusteeKey envelope for the keyholder; made at the first asking.

        Raises TrusteeStateRefused when the root does not name this trustee.
        """
        if self.key.public not in self.judge.root.keys(Duty.TRUSTEE).keys:
            raise TrusteeStateRefused(
                "the territory root names another key for its trustees",
                remedy="use the key whose public half the root lists",
            )
        return self.memory.become(self._make).certificate

    def contribute(self, summons: Summons) -> Contribution:
        """The share, re-sealed for exactly this opening, after every check of `Judge.read`.

        Remembered before it is answered: for this round the share is given for one batch and
        one pair of sums, however often the keyholder has to ask. Raises AlreadyGiven, NotMine,
        SummonsRefused, TrusteeStateRefused and what `Judge.read` raises.
        """
        identity = self.memory.identity()
        if identity is None:
            raise TrusteeStateRefused(
                "this trustee has no key yet", remedy="run `cadastre trustee certify`"
            )
        opening = self.judge.read(summons, Digest.of(identity.certificate), self._now())
        asked = opening.request.document
        before = self.memory.given(asked.campaign, asked.round)
        if before is not None and before.question != opening.question:
            raise _given_elsewhere()
        if before is not None and before.request == opening.request.digest:
            return Contribution(before.returned, before.sealed)
        given = self.memory.give(self._answer(summons, opening, identity))
        if given.question != opening.question:
            raise _given_elsewhere()
        return Contribution(given.returned, given.sealed)

    def status(self) -> list[Given]:
        """For which rounds the share was given."""
        return self.memory.history()

    def _make(self) -> Identity:
        secret = X25519PrivateKey.from_private_bytes(self.entropy(_SECRET_BYTES))
        document = TrusteeKey(
            territory=self.judge.root.document.territory,
            key=secret.public_key().public_bytes_raw(),
            made_at=self._now(),
        )
        return Identity(secret.private_bytes_raw(), signed.sign(document, [self.key]).envelope.raw)

    def _answer(self, summons: Summons, opening: Opening, identity: Identity) -> Given:
        document, asked = opening.epoch.document, opening.request.document
        epoch, dealing = epoch_of(document), dealing_of(document)
        mine = str(Digest.of(identity.certificate))
        try:
            share = custody.open_share(
                summons.sealed,
                epoch,
                dealing,
                X25519PrivateKey.from_private_bytes(identity.secret),
                trustee=mine,
                leg=Leg.ENTRUSTED,
            )
        except (CustodyRefused, ShareInvalid) as error:
            raise NotMine(error.sentence, remedy=error.remedy) from error
        if share.place != summons.place:
            raise NotMine(f"the share is of place {share.place}, not {summons.place}")
        try:
            sealed = custody.seal_share(
                share,
                epoch,
                dealing,
                X25519PublicKey.from_public_bytes(asked.key),
                trustee=mine,
                leg=Leg.CONTRIBUTED,
            )
        except (CustodyRefused, ValueError) as error:
            raise SummonsRefused("the request's key is no usable X25519 key") from error
        returned = ShareReturned(
            territory=asked.territory,
            campaign=asked.campaign,
            round=asked.round,
            epoch=asked.epoch,
            batch=asked.batch,
            request=opening.request.digest,
            place=summons.place,
            sealed=Digest.of(sealed),
            returned_at=self._now(),
        )
        return Given(
            campaign=asked.campaign,
            round=asked.round,
            question=opening.question,
            request=opening.request.digest,
            returned=signed.sign(returned, [self.key]).envelope.raw,
            sealed=sealed,
        )

    def _now(self) -> datetime:
        # In whole seconds, as documents write it.
        return clocks.from_text(clocks.to_text(self.clock.now()))


def _given_elsewhere() -> AlreadyGiven:
    return AlreadyGiven(
        "the share was given for another batch or sum of this round",
        remedy="a round is opened once; tell the cooperative who asks for it twice",
    )
