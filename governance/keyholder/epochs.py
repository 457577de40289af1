"""Key epochs: one per campaign, from its admission over the ceremony to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from governance.batches.errors import HistoryUnreadable, NotAuthorised
from governance.batches.votes import (
    gone_by_the_log,
    require_no_other_epoch,
    require_open,
    require_vote,
    rounds_of,
)
from governance.keyholder.ceremony import make_epoch, trustees_among
from governance.keyholder.errors import (
    CeremonyAwaited,
    EpochIsRetired,
    EpochUnknown,
)
from governance.keyholder.office import Office
from governance.keyholder.schema import Campaign, Epoch
from jobs import archive
from protection.accounting import check_noise
from protection.ckks.errors import ProfileRefused
from protection.ckks.profile import check_admission, profile_of
from protection.errors import RuleRefused
from trust import dsse, schema
from trust.documents import signed
from trust.documents.aggregation import CampaignEnded, Engagement
from trust.documents.custody import EpochKey, EpochRetired
from trust.documents.governance import Authorisation
from trust.documents.root import Duty
from trust.documents.rules import DataClass, Protection
from trust.ids import CampaignId, Digest
from trust.log.entry import Kind
from wire.aggregation import EngageRequest, LoggedDocument
from wire.custody import EndOfEpoch, EpochAnswer

# A scheduler lets a draft wait a week for its ceremony; one that waits longer asks again.
DRAFT_LIFE = timedelta(days=8)
PROTECTIONS = frozenset({Protection.ENCRYPTED})
ENDED, TIME_OVER, BY_COMMAND = "campaign-ended", "time-over", "retired-by-command"
BY_THE_LOG = "retired-in-the-log"


@dataclass(frozen=True)
class Live:
    """An epoch that is not retired, with the vote it serves."""

    campaign: Campaign
    epoch: Epoch
    document: EpochKey
    vote: Authorisation

    @property
    def certificate(self) -> Digest:
        """The digest of the EpochKey's envelope, which plan and trustees name."""
        return Digest.of(self.epoch.certificate)

    @property
    def authorisation(self) -> LoggedDocument:
        """The vote as it was exhibited."""
        return LoggedDocument(self.campaign.authorisation, self.campaign.proof)


class Epochs:
    """Admits, makes and retires; every answer is durable before it is returned."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def engage(self, request: EngageRequest) -> EpochAnswer:
        """The campaign's public key, once its ceremony was held.

        The first asking admits the campaign. Raises CeremonyAwaited, or Denied.
        """
        office = self._office
        asked = office.leader(Engagement, request.engagement)
        campaign = asked.document.campaign
        with office.denying(campaign, 0):
            known = office.memory.campaign(campaign)
            if known is None:
                known = self._admit(asked, request.authorisation)
            before = office.leader(Engagement, known.engagement).document
            wanted = (asked.document.bundle, asked.document.authorisation)
            if (before.bundle, before.authorisation) != wanted:
                raise NotAuthorised("the campaign was engaged for another bundle or vote")
            epoch = office.memory.epoch(campaign)
            if epoch is None:
                raise CeremonyAwaited(
                    f"the key ceremony of {campaign} was not held yet",
                    remedy="the keyholder's operator runs `cadastre keyholder ceremony`",
                )
            if not self._lives(epoch):
                raise _retired()
        entrusted = office.memory.entrusted(campaign)
        return EpochAnswer(epoch.certificate, epoch.public, tuple(e.trustee for e in entrusted))

    def hold(self, campaign: CampaignId, trustees: Sequence[bytes]) -> bytes:
        """The ceremony: a fresh key, wrapped, shared and sealed. Answers the EpochKey envelope.

        `trustees` are the TrusteeKey envelopes of all of the root's trustees; how many must act
        is the root's threshold, and the profile is the one that the voted rules are for. Held
        again it answers the same. Raises CeremonyRefused, Denied, TensealMissing, ProfileRefused,
        RuleRefused, CustodyRefused, StandingUnknown.
        """
        office = self._office
        with office.denying(campaign, 0):
            admitted = office.memory.campaign(campaign)
            if admitted is None:
                raise _unknown()
            known = office.memory.epoch(campaign)
            if known is not None:
                if known.retired is not None:
                    raise _retired()
                return known.certificate
            require_no_other_epoch(office.history, campaign)
            vote = office.root.verify(Authorisation, admitted.authorisation, Duty.COLLEGE).document
            require_open(vote, office.now(), "this moment")
            office.standing.require(vote)
            profile = profile_of(vote.rules)
            check_admission(profile, vote.rules, self._data_class(vote))
            keys = trustees_among(office, trustees)
            return make_epoch(office, campaign, vote, profile, keys).certificate

    def live(self, campaign: CampaignId) -> Live:
        """The campaign's epoch. Raises EpochUnknown, EpochIsRetired."""
        office = self._office
        admitted, epoch = office.memory.campaign(campaign), office.memory.epoch(campaign)
        if admitted is None or epoch is None:
            raise _unknown()
        if not self._lives(epoch):
            raise _retired()
        vote = office.root.verify(Authorisation, admitted.authorisation, Duty.COLLEGE)
        document = office.root.verify(EpochKey, epoch.certificate, Duty.KEYHOLDER)
        return Live(admitted, epoch, document.document, vote.document)

    def _lives(self, epoch: Epoch) -> bool:
        """Whether it is not retired, here or by the log, and in time; else it is retired here."""
        if epoch.retired is not None:
            return False
        if self._office.now() >= epoch.not_after:
            self.retire(epoch.campaign, TIME_OVER)
            return False
        # A copy of this folder, or this one before it was restored, has said that it is gone.
        if gone_by_the_log(self._office.history, Kind.EPOCH_KEY, epoch.certificate):
            self.retire(epoch.campaign, BY_THE_LOG)
            return False
        return True

    def end(self, request: EndOfEpoch) -> bytes:
        """The notice that a campaign's key is gone. Raises Denied."""
        ended = self._office.leader(CampaignEnded, request.ended).document
        self._office.memory.forget(ended.campaign)
        return self.retire(ended.campaign, ENDED)

    def retire(self, campaign: CampaignId, reason: str = BY_COMMAND) -> bytes:
        """Destroy what the keyholder has of the key; answers the EpochRetired that counts.

        Raises Denied for a campaign without a key.
        """
        office = self._office
        with office.denying(campaign, 0):
            known = office.memory.epoch(campaign)
            if known is None:
                raise _unknown()
        notice = EpochRetired(
            territory=office.territory,
            campaign=campaign,
            epoch=Digest.of(known.certificate),
            reason=reason,
            retired_at=office.now(),
        )
        return known.retired or office.memory.retire(campaign, office.sign(notice))

    def expire(self) -> list[CampaignId]:
        """Retire every epoch whose time is over, asked or not, to its last copy on the disk."""
        expired = [epoch.campaign for epoch in self._office.memory.expired(self._office.now())]
        for campaign in expired:
            self.retire(campaign, TIME_OVER)
        self._forget_drafts()
        # Also what the command line retired while this process, or it, could not erase.
        self._office.memory.erase()
        return expired

    def _forget_drafts(self) -> None:
        """Let no campaign wait for a ceremony that its scheduler has given up without a word."""
        office = self._office
        for campaign in office.memory.awaiting():
            admitted = office.memory.campaign(campaign)
            if admitted is None:
                continue
            payload = dsse.Envelope.parse(admitted.engagement).payload  # verified when admitted
            if office.now() >= schema.decode(Engagement, payload).asked_at + DRAFT_LIFE:
                office.memory.forget(campaign)

    def _admit(self, asked: signed.Signed[Engagement], authorisation: LoggedDocument) -> Campaign:
        office, document = self._office, asked.document
        vote, _ = require_vote(
            office.root,
            office.history,
            authorisation,
            asked=(document.authorisation, document.bundle),
            protections=PROTECTIONS,
        )
        require_open(vote, office.now(), "this moment")
        office.standing.require(vote)
        self._require_fit(vote)
        return office.memory.admit(
            Campaign(
                id=document.campaign,
                engagement=asked.envelope.raw,
                authorisation=authorisation.envelope,
                proof=authorisation.proof,
                rounds=rounds_of(vote, office.bundle),
            )
        )

    def _require_fit(self, vote: Authorisation) -> None:
        """Raise NotAuthorised when no ciphertext holds the voted sums, or they are noiseless.

        Whether capsules are public is what the voted manifest says; their class is for the
        broker to check, which opens them.
        """
        data_class = self._data_class(vote)
        try:
            check_noise(vote.rules, data_class)
            check_admission(profile_of(vote.rules), vote.rules, data_class)
        except (ProfileRefused, RuleRefused) as refusal:
            raise NotAuthorised(refusal.sentence, remedy=refusal.remedy) from refusal

    def _data_class(self, vote: Authorisation) -> DataClass:
        raw = self._office.bundle(vote.bundle)
        if raw is None:
            raise HistoryUnreadable("the voted bundle cannot be read from the log's site")
        classes = set(archive.read(raw, vote.bundle).manifest.needs.classes)
        return DataClass.PUBLIC if classes == {DataClass.PUBLIC} else DataClass.PERSONAL


def _unknown() -> EpochUnknown:
    return EpochUnknown(
        "the keyholder has no key for this campaign",
        remedy="engage it first, then hold the ceremony; after a loss start another campaign",
    )


def _retired() -> EpochIsRetired:
    return EpochIsRetired(
        "the campaign's key epoch is retired: nothing of it can be opened any more",
        remedy="start another campaign",
    )
