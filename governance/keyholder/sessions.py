"""Openings that wait for trustees, in memory only.

The key that shares are sealed to, and the shares, are never written: what is on the disk must
not open anything. If we crash, the trustees are asked again, for the same batch and sums, under
a fresh key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from governance.batches.custody import dealing_of, epoch_of
from governance.keyholder.epochs import Live
from governance.keyholder.errors import ShareRefused
from governance.keyholder.office import Office
from protection import custody
from protection.custody import CustodyRefused, Leg
from protection.shamir import Share, ShareInvalid
from trust.documents import signed
from trust.documents.aggregation import AggregateShare, BatchCommitment
from trust.documents.custody import ShareRequest, ShareReturned, TrusteeKey
from trust.documents.signed import Signed
from trust.errors import TrustError
from trust.ids import CampaignId, Digest
from wire.aggregation import CommitAnswer, LoggedDocument
from wire.custody import Contribution, Summons

# Trustees are people: a week has a working day in it. Afterwards the shares are dropped and the
# trustees asked again.
SESSION_LIFE = timedelta(days=7)
_SECRET_BYTES = 32


@dataclass
class Session:
    """One opening and the shares that came for it; dropped with them once it is over."""

    live: Live
    plan: LoggedDocument
    epoch: LoggedDocument
    batch: LoggedDocument
    leader: LoggedDocument
    question: Digest
    request: Signed[ShareRequest]
    secret: X25519PrivateKey = field(repr=False)
    shares: dict[int, Share] = field(default_factory=dict, repr=False)
    returned: dict[int, bytes] = field(default_factory=dict)

    @property
    def enough(self) -> bool:
        """Whether the key can be rebuilt."""
        return len(self.shares) >= self.live.document.threshold

    def records(self) -> list[bytes]:
        """The request, and what the trustees signed for it, by place."""
        return [
            self.request.envelope.raw,
            *(self.returned[place] for place in sorted(self.returned)),
        ]


@dataclass(frozen=True)
class Asked:
    """The verified opening that a session is for."""

    live: Live
    question: Digest
    plan: LoggedDocument
    epoch: LoggedDocument
    batch: Signed[BatchCommitment]
    batch_proof: bytes
    leader: Signed[AggregateShare]
    leader_proof: bytes
    helper: CommitAnswer


class Sessions:
    """Every opening that waits, by campaign and round.

    One question at a time; only the clock, which forgets, runs beside it.
    """

    def __init__(self, office: Office) -> None:
        self._office = office
        self._sessions: dict[tuple[CampaignId, int], Session] = {}

    def waiting(self, campaign: CampaignId, number: int, question: Digest) -> Session | None:
        """The session of an opening, when there is one whose time is not over."""
        session = self._sessions.get((campaign, number))
        if session is None or self._over(session) or session.question != question:
            return None
        return session

    def of(self, asked: Asked) -> Session:
        """The session of an opening, made when it is first asked for or its time was over."""
        document = asked.batch.document
        known = self.waiting(document.campaign, document.round, asked.question)
        if known is not None:
            return known
        fresh = self._sessions[document.campaign, document.round] = self._fresh(asked)
        return fresh

    def summons(self, trustee: Digest) -> list[Summons]:
        """What the holder of this TrusteeKey is still wanted for."""
        wanted = []
        for session in list(self._sessions.values()):
            places = session.live.document.trustees
            if self._over(session) or trustee not in places:
                continue
            place = places.index(trustee) + 1
            entrusted = self._office.memory.entrusted(session.live.campaign.id)
            sealed = entrusted[place - 1].sealed
            if place in session.shares or sealed is None:
                continue
            wanted.append(
                Summons(
                    epoch=session.epoch,
                    authorisation=session.live.authorisation,
                    plan=session.plan,
                    batch=session.batch,
                    leader=session.leader,
                    request=session.request.envelope.raw,
                    place=place,
                    sealed=sealed,
                )
            )
        return wanted

    def take(self, contribution: Contribution) -> Session:
        """Count one trustee's share in; given again, it counts once.

        Raises ShareRefused naming the place, RequestMalformed.
        """
        found, signer = self._office.trustee(ShareReturned, contribution.returned)
        document, place = found.document, found.document.place
        session = self._sessions.get((document.campaign, document.round))
        if (
            session is None
            or self._over(session)
            or document.request != session.request.digest
            or document.batch != session.request.document.batch
            or document.epoch != session.live.certificate
        ):
            raise ShareRefused(
                "no opening waits for this share",
                remedy="run `cadastre trustee contribute` again: it fetches the present request",
            )
        entrusted = self._office.memory.entrusted(document.campaign)
        if not 1 <= place <= len(entrusted):
            raise ShareRefused(f"there is no place {place} in this epoch")
        try:
            # The place belongs to whoever signed the key that its share was sealed to.
            signed.verify(TrusteeKey, entrusted[place - 1].trustee, {signer})
        except TrustError as error:
            raise ShareRefused(f"the place {place} is another trustee's") from error
        if document.sealed != Digest.of(contribution.sealed):
            raise ShareRefused(f"the share of place {place} is not the one that was signed")
        try:
            share = custody.open_share(
                contribution.sealed,
                epoch_of(session.live.document),
                dealing_of(session.live.document),
                session.secret,
                trustee=session.live.document.trustees[place - 1],
                leg=Leg.CONTRIBUTED,
            )
        except (CustodyRefused, ShareInvalid) as error:
            raise _wrong(place) from error
        if share.place != place:
            raise _wrong(place)
        session.shares.setdefault(place, share)
        session.returned.setdefault(place, contribution.returned)
        return session

    def campaigns(self) -> set[CampaignId]:
        """The campaigns that have an opening waiting."""
        return {campaign for campaign, _ in list(self._sessions)}

    def drop(self, campaign: CampaignId) -> None:
        """Forget every opening of a campaign."""
        for key in [key for key in list(self._sessions) if key[0] == campaign]:
            self._sessions.pop(key, None)

    def expire(self) -> None:
        """Forget the openings whose time is over."""
        for key, session in list(self._sessions.items()):
            if self._over(session):
                self._sessions.pop(key, None)

    def _over(self, session: Session) -> bool:
        return self._office.clock.now() >= session.request.document.not_after

    def _fresh(self, asked: Asked) -> Session:
        office, document, now = self._office, asked.batch.document, self._office.now()
        secret = X25519PrivateKey.from_private_bytes(office.entropy(_SECRET_BYTES))
        request = ShareRequest(
            territory=office.territory,
            campaign=document.campaign,
            round=document.round,
            plan=document.plan,
            epoch=asked.live.certificate,
            batch=document.batch,
            sum=asked.leader.document.values,
            masks=Digest.of(asked.helper.values),
            key=secret.public_key().public_bytes_raw(),
            asked_at=now,
            not_after=min(now + SESSION_LIFE, asked.live.document.not_after),
        )
        return Session(
            live=asked.live,
            plan=asked.plan,
            epoch=asked.epoch,
            batch=LoggedDocument(asked.batch.envelope.raw, asked.batch_proof),
            leader=LoggedDocument(asked.leader.envelope.raw, asked.leader_proof),
            question=asked.question,
            request=signed.sign(request, [office.key]),
            secret=secret,
        )


def _wrong(place: int) -> ShareRefused:
    return ShareRefused(
        f"the share of place {place} is not the one that was dealt to it",
        remedy="that trustee checks their key and contributes again; or another one does",
        place=str(place),
    )
