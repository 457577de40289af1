"""The key ceremony: a fresh key, wrapped, its wrapping key shared and sealed to the trustees."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from governance.keyholder.errors import CeremonyRefused
from governance.keyholder.office import Office
from governance.keyholder.schema import Entrusted, Epoch
from protection import custody
from protection.ckks import scheme
from protection.ckks.profile import Profile
from trust.documents.custody import EpochKey, TrusteeKey
from trust.documents.governance import Authorisation
from trust.documents.root import Duty
from trust.documents.signed import Signed
from trust.ids import CampaignId, Digest, KeyEpochId
from trust.keys import PublicKey

# A campaign that takes longer is started again; until then its wrapped key is on the disk.
EPOCH_LIFE = timedelta(days=30)
_KEY_BYTES = 32

Trustees = dict[PublicKey, Signed[TrusteeKey]]
"""By the key that the root names, what each trustee's shares are sealed to; in its order."""


def trustees_among(office: Office, envelopes: Sequence[bytes]) -> Trustees:
    """One sealing key per trustee of the root, by their root keys. Raises CeremonyRefused."""
    found: Trustees = {}
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


def make_epoch(
    office: Office,
    campaign: CampaignId,
    vote: Authorisation,
    profile: Profile,
    trustees: Trustees,
) -> Epoch:
    """Make and keep a campaign's epoch; of the key itself only what is wrapped is kept.

    Answers the epoch that counts. Raises TensealMissing, CustodyRefused.
    """
    now = office.now()
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
        campaign=campaign,
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
            campaign,
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
