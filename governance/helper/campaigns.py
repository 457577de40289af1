"""Campaigns that the helper takes part in: one key each, from its engagement to its end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from governance.batches.errors import NotAuthorised
from governance.batches.votes import gone_by_the_log, require_open, require_vote, rounds_of
from governance.helper.errors import KeyGone, KeyUnknown
from governance.helper.office import Office
from governance.helper.schema import Campaign
from trust.documents.aggregation import CampaignEnded, Engagement, HelperKey, KeyDestroyed
from trust.documents.governance import Authorisation
from trust.documents.root import Duty
from trust.documents.rules import Protection
from trust.documents.signed import Signed
from trust.ids import CampaignId, Digest
from trust.log.entry import Kind
from wire.aggregation import EndRequest, EngageRequest, LoggedDocument

# A campaign that takes longer is started again; until then its key lies on the helper's disk.
KEY_LIFE = timedelta(days=30)
_SECRET_BYTES = 32
PROTECTIONS = frozenset({Protection.SHARED, Protection.ENCRYPTED})


@dataclass(frozen=True)
class Engaged:
    """A campaign whose key is still there."""

    entry: Campaign
    vote: Authorisation
    secret: X25519PrivateKey


class Campaigns:
    """Engages and ends; every answer is durable before it is returned."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def engage(self, request: EngageRequest) -> bytes:
        """The campaign's certified key, made at the first asking. Raises Denied."""
        office = self._office
        asked = office.leader(Engagement, request.engagement)
        document = asked.document
        with office.denying(document.campaign, 0):
            known = office.memory.campaign(document.campaign)
            if known is None:
                return self._fresh(asked, request.authorisation).certificate
            before = office.leader(Engagement, known.engagement).document
            if (before.bundle, before.authorisation) != (document.bundle, document.authorisation):
                raise NotAuthorised("the campaign was engaged for another bundle or vote")
            if not self._lives(known):
                raise _gone()
            return known.certificate

    def engaged(self, campaign: CampaignId) -> Engaged:
        """The campaign with its key and its vote. Raises KeyUnknown or KeyGone."""
        entry = self._office.memory.campaign(campaign)
        if entry is None:
            raise _unknown()
        if not self._lives(entry) or entry.secret is None:
            raise _gone()
        vote = self._office.root.verify(Authorisation, entry.authorisation, Duty.COLLEGE)
        secret = X25519PrivateKey.from_private_bytes(entry.secret)
        return Engaged(entry, vote.document, secret)

    def end(self, request: EndRequest) -> bytes:
        """The notice that a campaign's key and seeds are gone. Raises Denied."""
        office = self._office
        ended = office.leader(CampaignEnded, request.ended).document
        with office.denying(ended.campaign, 0):
            known = office.memory.campaign(ended.campaign)
            if known is None:
                raise _unknown()
            return known.destroyed or self._destroy(known)

    def expire(self) -> None:
        """Destroy every key whose time is over, asked or not, to its last copy on the disk."""
        for campaign in self._office.memory.expired(self._office.clock.now()):
            self._destroy(campaign)
        self._office.memory.erase()

    def _lives(self, campaign: Campaign) -> bool:
        """Whether its key is there, in time and not gone by the log; else it goes here and now."""
        if campaign.secret is None:
            return False
        late = self._office.clock.now() >= campaign.not_after
        # A copy of this folder, or this one before it was restored, has said that it is gone.
        if late or gone_by_the_log(self._office.history, Kind.HELPER_KEY, campaign.certificate):
            self._destroy(campaign)
            return False
        return True

    def _fresh(self, asked: Signed[Engagement], authorisation: LoggedDocument) -> Campaign:
        office, document = self._office, asked.document
        now = office.now()
        vote, included = require_vote(
            office.root,
            office.history,
            authorisation,
            asked=(document.authorisation, document.bundle),
            protections=PROTECTIONS,
        )
        require_open(vote, now, "this moment")
        office.standing.require(vote)
        secret = X25519PrivateKey.from_private_bytes(office.entropy(_SECRET_BYTES))
        certificate = HelperKey(
            territory=office.territory,
            campaign=document.campaign,
            bundle=document.bundle,
            authorisation=document.authorisation,
            key=secret.public_key().public_bytes_raw(),
            made_at=now,
            not_after=min(now + KEY_LIFE, vote.not_after + timedelta(days=1)),
        )
        return office.memory.engage(
            Campaign(
                id=document.campaign,
                engagement=asked.envelope.raw,
                authorisation=authorisation.envelope,
                secret=secret.private_bytes_raw(),
                certificate=office.sign(certificate),
                rounds=rounds_of(vote, office.bundle),
                logged=included.index + 1,
                not_after=certificate.not_after,
                destroyed=None,
            )
        )

    def _destroy(self, campaign: Campaign) -> bytes:
        office = self._office
        notice = KeyDestroyed(
            territory=office.territory,
            campaign=campaign.id,
            helper=Digest.of(campaign.certificate),
            destroyed_at=office.now(),
        )
        return office.memory.destroy(campaign.id, office.sign(notice))


def _unknown() -> KeyUnknown:
    return KeyUnknown(
        "the helper was not engaged for this campaign, or lost its state",
        remedy="the campaign must be started again",
    )


def _gone() -> KeyGone:
    return KeyGone(
        "the campaign's key was destroyed: nothing of it can be opened any more",
        remedy="start another campaign",
    )
