"""Key epochs: one per campaign, from its admission over the ceremony to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from governance.batches.errors import HistoryUnreadable, NotAuthorised
from governance.batches.votes import require_open, require_vote, rounds_of
from governance.keyholder.errors import (
    CeremonyAwaited,
    CeremonyRefused,
    EpochIsRetired,
    EpochUnknown,
)
from governance.keyholder.memory import Campaign, Entrusted, Epoch
from governance.keyholder.office import Office
from jobs import archive
from protection import custody
from protection.accounting import check_noise
from protection.ckks import scheme
from protection.ckks.errors import ProfileRefused
from protection.ckks.profile import PROFILES, SOMME, Profile, check_admission
from protection.errors import NoiselessRefused, ProtectionError
from trust.documents import signed
from trust.documents.aggregation import CampaignEnded, Engagement
from trust.documents.custody import EpochKey, EpochRetired, TrusteeKey
from trust.documents.governance import Authorisation
from trust.documents.root import Duty
from trust.documents.rules import DataClass, Protection
from trust.ids import CampaignId, Digest, KeyEpochId
from trust.keys import PublicKey
from wire.aggregation import EngageRequest, LoggedDocument
from wire.custody import EndOfEpoch, EpochAnswer

# A campaign that takes longer is started again; until then its wrapped key is on the disk.
EPOCH_LIFE = timedelta(days=30)
_KEY_BYTES = 32
PROTECTIONS = frozenset({Protection.ENCRYPTED})
ENDED, TIME_OVER, BY_COMMAND = "campaign-ended", "time-over", "retired-by-command"


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
            if epoch.retired is not None:
                raise _retired()
        entrusted = office.memory.entrusted(campaign)
        return EpochAnswer(epoch.certificate, epoch.public, tuple(e.trustee for e in entrusted))

    def hold(
        self, campaign: CampaignId, trustees: Sequence[bytes], profile: Profile = SOMME
    ) -> bytes:
        """The ceremony: a fresh key, wrapped, shared and sealed. Answers the EpochKey envelope.

        `trustees` are the TrusteeKey envelopes of all of the root's trustees; how many must act
        is the root's threshold. Held again it answers the same. Raises CeremonyRefused, Denied,
        TensealMissing, ProfileRefused, CustodyRefused, StandingUnknown.
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
            vote = office.root.verify(Authorisation, admitted.authorisation, Duty.COLLEGE).document
            require_open(vote, office.now(), "this moment")
            office.standing.require(vote)
            check_admission(profile, vote.rules, self._data_class(vote))
            keys = self._trustees(trustees)
            return self._make(admitted, vote, profile, keys).certificate

    def live(self, campaign: CampaignId) -> Live:
        """The campaign's epoch. Raises EpochUnknown, EpochIsRetired."""
        office = self._office
        admitted, epoch = office.memory.campaign(campaign), office.memory.epoch(campaign)
        if admitted is None or epoch is None:
            raise _unknown()
        if epoch.retired is None and office.now() >= epoch.not_after:
            self.retire(campaign, TIME_OVER)
            raise _retired()
        if epoch.retired is not None:
            raise _retired()
        vote = office.root.verify(Authorisation, admitted.authorisation, Duty.COLLEGE)
        document = office.root.verify(EpochKey, epoch.certificate, Duty.KEYHOLDER)
        return Live(admitted, epoch, document.document, vote.document)

    def end(self, request: EndOfEpoch) -> bytes:
        """The notice that a campaign's key is gone. Raises Denied."""
        ended = self._office.leader(CampaignEnded, request.ended).document
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
        """Retire every epoch whose time is over, asked or not."""
        expired = [epoch.campaign for epoch in self._office.memory.expired(self._office.now())]
        for campaign in expired:
            self.retire(campaign, TIME_OVER)
        return expired

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
        """Raise NotAuthorised when no profile can hold the voted sums, or they are noiseless."""
        data_class = self._data_class(vote)
        refusal: ProtectionError | None = None
        for profile in PROFILES.values():
            try:
                check_noise(vote.rules, data_class)
                return check_admission(profile, vote.rules, data_class)
            except (ProfileRefused, NoiselessRefused) as error:
                refusal = refusal or error
        assert refusal is not None
        raise NotAuthorised(refusal.sentence, remedy=refusal.remedy) from refusal

    def _data_class(self, vote: Authorisation) -> DataClass:
        raw = self._office.bundle(vote.bundle)
        if raw is None:
            raise HistoryUnreadable("the voted bundle cannot be read from the log's site")
        classes = set(archive.read(raw, vote.bundle).manifest.needs.classes)
        return DataClass.PUBLIC if classes == {DataClass.PUBLIC} else DataClass.PERSONAL

    def _trustees(self, envelopes: Sequence[bytes]) -> dict[PublicKey, signed.Signed[TrusteeKey]]:
        """One sealing key per trustee of the root, in the order of their root keys."""
        office = self._office
        found: dict[PublicKey, signed.Signed[TrusteeKey]] = {}
        for raw in envelopes:
            document, signer = office.trustee(TrusteeKey, raw)
            if len(document.document.key) != _KEY_BYTES:
                raise CeremonyRefused(f"the trustee {signer} gave no X25519 key")
            if signer in found:
                raise CeremonyRefused(
                    f"the trustee {signer} gave two keys",
                    remedy="give the one key that each trustee made last",
                )
            found[signer] = document
        missing = set(office.root.keys(Duty.TRUSTEE).keys) - set(found)
        if missing:
            raise CeremonyRefused(
                f"no key of the trustees {', '.join(sorted(map(str, missing)))}",
                remedy="each trustee runs `cadastre trustee certify` and sends the file",
            )
        return {signer: found[signer] for signer in sorted(found)}

    def _make(
        self,
        admitted: Campaign,
        vote: Authorisation,
        profile: Profile,
        trustees: dict[PublicKey, signed.Signed[TrusteeKey]],
    ) -> Epoch:
        office, now = self._office, self._office.now()
        epoch = custody.KeyEpoch(office.territory, KeyEpochId.draw(office.entropy), profile.name)
        pair = scheme.generate(profile)
        entrusted = custody.entrust(
            pair.secret,
            epoch,
            {
                str(document.digest): X25519PublicKey.from_public_bytes(document.document.key)
                for document in trustees.values()
            },
            office.entropy,
            threshold=office.root.keys(Duty.TRUSTEE).threshold,
        )
        certificate = EpochKey(
            territory=office.territory,
            campaign=admitted.id,
            bundle=vote.bundle,
            authorisation=vote.id,
            epoch=epoch.epoch,
            profile=profile.name,
            public=Digest.of(pair.public),
            threshold=entrusted.dealing.threshold,
            trustees=tuple(document.digest for document in trustees.values()),
            sealed=tuple(Digest.of(sealed) for sealed in entrusted.sealed),
            shares=entrusted.dealing.shares,
            secret=entrusted.dealing.secret,
            wrapped=Digest.of(entrusted.wrapped),
            made_at=now,
            not_after=min(now + EPOCH_LIFE, vote.not_after + timedelta(days=1)),
        )
        return office.memory.begin(
            Epoch(
                admitted.id,
                office.sign(certificate),
                pair.public,
                certificate.not_after,
                entrusted.wrapped,
            ),
            [
                Entrusted(place, document.envelope.raw, sealed)
                for place, (document, sealed) in enumerate(
                    zip(trustees.values(), entrusted.sealed, strict=True), start=1
                )
            ],
        )


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
