"""From a rebuilt key and two sums to noised whole steps: the one place that decrypts.

The noise is derived from the epoch's secret key, the batch and the leader's sum, and the moment
in the answer is the batch's own: a keyholder that was restored from a backup gives the same
bytes again, never a second draw whose mean with the first would be nearer to the truth. Since
the key is on nobody's disk, neither is the noise. The helper's masks have no part in it: they
only move what is opened by what the helper knows, and two draws over one sum would average out.

What was decrypted is in this module's frames only. No error quotes it; every fault in it has
the same one refusal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from governance.batches.custody import dealing_of, epoch_of
from governance.keyholder.epochs import Live
from governance.keyholder.errors import OpeningRefused, SharesUnfit, SumRefused
from jobs.aggregate import encode_partial
from protection import accounting, custody
from protection.aggregators import draw_noise
from protection.ckks import masks, packing, residues, scheme
from protection.ckks.blobs import parse_masks
from protection.ckks.errors import (
    CkksError,
    EncryptionFailed,
    KeyMaterialRefused,
    OpeningImplausible,
)
from protection.ckks.profile import profile_named
from protection.ckks.residues import Residues
from protection.custody import CustodyRefused, EntrustedKey
from protection.products import released
from protection.shamir import Share, SharingRefused
from trust.documents.aggregation import AggregateShare, BatchCommitment, Side
from trust.documents.custody import AggregateOpened
from trust.documents.root import Duty
from trust.documents.signed import Signed
from trust.entropy import Entropy, derived
from trust.errors import TrustError
from trust.ids import Digest
from trust.root import TrustedRoot
from wire.custody import OpeningRequest

_LABEL = b"keyholder noise/v1 "


@dataclass(frozen=True)
class Sums:
    """The two halves of one batch, verified; neither opens anything without the key."""

    leader: Signed[AggregateShare]
    helper: Signed[AggregateShare]
    encrypted: Residues
    masks: Residues


def name_of_opening(request: OpeningRequest) -> Digest:
    """What one opening is about, whatever the proofs beside it."""
    parts = (
        request.batch.envelope,
        request.lines,
        request.leader.envelope,
        request.sum,
        request.helper.share,
        request.helper.values,
    )
    return Digest.of("\n".join(Digest.of(part) for part in parts).encode())


def read_sums(
    request: OpeningRequest, batch: BatchCommitment, live: Live, root: TrustedRoot
) -> Sums:
    """Both sums, each signed by its aggregator for exactly this batch and profile.

    Nothing here touches the key: bytes of another shape, size or range are refused without a
    word about it, and the epoch goes on. Raises SumRefused.
    """
    try:
        leader = root.verify(AggregateShare, request.leader.envelope, Duty.ORDERS)
        helper = root.verify(AggregateShare, request.helper.share, Duty.HELPER)
    except TrustError as error:
        raise SumRefused(f"a sum is not signed by its aggregator: {error.sentence}") from error
    silent = {rule.output: "0" for rule in live.vote.rules}
    for signed_sum, side, blob in (
        (leader, Side.LEADER, request.sum),
        (helper, Side.HELPER, request.helper.values),
    ):
        said = signed_sum.document
        pairs: tuple[tuple[str, object, object], ...] = (
            ("territory", said.territory, batch.territory),
            ("campaign", said.campaign, batch.campaign),
            ("round", said.round, batch.round),
            ("plan", said.plan, batch.plan),
            ("parameters", said.parameters, batch.parameters),
            ("batch", said.batch, batch.batch),
            ("side", said.side, side),
            ("noise", said.variances, silent),
            ("bytes", said.values, Digest.of(blob)),
        )
        for name, found, expected in pairs:
            if found != expected:
                raise SumRefused(f"the {side.value}'s sum is of another {name}")
    profile = profile_named(live.document.profile)
    try:
        encrypted = residues.parse(request.sum, profile)
        blinding = parse_masks(request.helper.values, profile)
    except CkksError as error:
        raise SumRefused(f"{error.sentence} [{error.code}]", remedy=error.remedy) from error
    return Sums(leader, helper, encrypted, blinding)


def open_sums(
    live: Live,
    wrapped: tuple[bytes, Sequence[bytes]],
    shares: Sequence[Share],
    sums: Sums,
    *,
    reports: int,
    contributors: int,
) -> bytes:
    """The blob of noised whole steps. `wrapped` is the wrapped key and the sealed shares.

    Raises OpeningRefused, after which the epoch must be retired before anything is answered;
    SharesUnfit, TensealMissing and BatchTooLarge where nothing was decrypted.
    """
    profile, rules = profile_named(live.document.profile), live.vote.rules
    profile.tolerance(reports)
    entrusted = EntrustedKey(
        epoch_of(live.document),
        dealing_of(live.document),
        wrapped[0],
        tuple(wrapped[1]),
        live.document.trustees,
    )
    try:
        secret = custody.recover(entrusted, shares)
    except (CustodyRefused, SharingRefused) as error:
        raise SharesUnfit(error.sentence, remedy=error.remedy) from error
    try:
        # Of two factors only the product is ever decrypted, and here is the first place where
        # it can be made: until the masks are off, nothing but addition commutes with them.
        decrypted = scheme.Decryptor(profile, secret).open(
            masks.unmasked(sums.encrypted, sums.masks), rules
        )
        steps = packing.unpack(
            profile, rules, decrypted, ciphertexts=reports, contributors=contributors
        )
    except (OpeningImplausible, EncryptionFailed, KeyMaterialRefused):
        # One refusal and no cause: whoever provoked it learns one bit and no more.
        raise OpeningRefused(
            "the decrypted sum is not one that honest partials under this key can have",
            remedy="the epoch is retired; audit the batch's workers and both sums, then start "
            "another campaign",
        ) from None
    opened = released(rules)
    noise = draw_noise(opened, live.campaign.rounds, _noise_of(secret, sums))
    for rule in opened:
        # In place: what was exact, or makes it exact again, does not stay in freed memory.
        steps[rule.output] += noise[rule.output]
        noise[rule.output].fill(0)
    for raw in (decrypted.real, decrypted.imaginary):
        raw.fill(0)
    return encode_partial(rules, {rule.output: steps[rule.output] for rule in opened})


def statement(live: Live, batch: BatchCommitment, sums: Sums, values: bytes) -> AggregateOpened:
    """What the keyholder signs beside the values."""
    return AggregateOpened(
        territory=batch.territory,
        campaign=batch.campaign,
        round=batch.round,
        plan=batch.plan,
        parameters=batch.parameters,
        epoch=live.certificate,
        batch=batch.batch,
        leader=sums.leader.digest,
        helper=sums.helper.digest,
        values=Digest.of(values),
        variances=accounting.variances_of(released(live.vote.rules), live.campaign.rounds),
        opened_at=batch.committed_at,
    )


def _noise_of(secret: bytes, sums: Sums) -> Entropy:
    label = f"{sums.leader.document.batch} {sums.leader.document.values}"
    return derived(secret, _LABEL + label.encode())
