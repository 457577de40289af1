"""From the sealed seeds of one batch to the helper's share of it: a function of what is kept.

Under `shared` its full noise is inside. Under `encrypted` it is the exact sum of the masks, which
says nothing about any worker: see `masking`.

The noise is derived from the campaign's secret and the batch, and every moment in the answer is
the batch's own: a helper that was restored from a backup gives the same bytes again, never a
second draw whose mean with the first would be nearer to the truth.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from governance.batches.errors import AlreadyOpened, BatchDiffers
from governance.helper.masking import sum_masks
from governance.helper.schema import Round
from protection import accounting
from protection.aggregators import draw_noise
from protection.batch import Batch
from protection.ckks.profile import Profile
from protection.layout import Layout
from protection.scope import Binding
from protection.seeds import Seed, open_seed
from protection.shares import MaskSum
from trust import dsse, schema
from trust.documents import signed
from trust.documents.aggregation import AggregateShare, BatchCommitment, Side
from trust.documents.reporting import Partial
from trust.documents.rules import ReleaseRules
from trust.documents.signed import Signed
from trust.entropy import derived
from trust.ids import Digest
from trust.keys import PrivateKey
from wire.aggregation import SealedReport

_LABEL = b"helper noise/v1 "


@dataclass(frozen=True)
class Question:
    """Which batch is to be opened, under which rules, with which campaign secret."""

    batch: Signed[BatchCommitment]
    rules: tuple[ReleaseRules, ...]
    rounds: int
    secret: X25519PrivateKey
    profile: Profile | None = None  # of the ciphertexts that the masks belong to


def name_of_question(plan: Digest, reports: Iterable[SealedReport]) -> Digest:
    """What one *prepare* asks, whatever the order of its reports."""
    lines = sorted(f"{Digest.of(r.partial)} {Digest.of(r.sealed)}\n" for r in reports)
    return Digest.of(f"{plan}\n{''.join(lines)}".encode())


def require_same(batch: Signed[BatchCommitment], lines: bytes, known: Round) -> None:
    """Raise unless the leader commits to exactly the batch that this round was prepared with.

    AlreadyOpened for a round that was answered with another one, BatchDiffers before.
    """
    document, ours = batch.document, Batch.decode(known.batch)
    differs = AlreadyOpened if known.share is not None else BatchDiffers
    pairs: tuple[tuple[str, object, object], ...] = (
        ("list of reports", document.batch, ours.digest),
        ("list at hand", Digest.of(lines), ours.digest),
        ("plan", document.plan, known.plan),
        ("parameters", document.parameters, known.parameters),
        ("number of partials", document.partials, ours.reports),
        ("number of contributors", document.contributors_rounded, ours.contributors_rounded),
    )
    for name, said, expected in pairs:
        if said != expected:
            raise differs(
                f"the batch's {name} is not the one that this round was prepared with",
                remedy="the leader commits to the helper's own accept list",
            )


def open_batch(
    question: Question, reports: Iterable[tuple[bytes, bytes]], key: PrivateKey
) -> tuple[bytes, bytes]:
    """The AggregateShare's envelope and the blob that it names.

    `reports` are (partial envelope, sealed seed) as they were judged when the round was prepared.
    """
    document, rules = question.batch.document, question.rules
    seeds = (_seed(partial, sealed, question.secret) for partial, sealed in reports)
    if question.profile is None:
        masks = _noised(question, seeds)
        variances = accounting.variances_of(rules, question.rounds)
    else:
        masks = sum_masks(question.profile, seeds)
        variances = {rule.output: "0" for rule in rules}
    share = AggregateShare(
        territory=document.territory,
        campaign=document.campaign,
        round=document.round,
        plan=document.plan,
        parameters=document.parameters,
        batch=document.batch,
        side=Side.HELPER,
        values=Digest.of(masks),
        variances=variances,
        made_at=document.committed_at,
    )
    return signed.sign(share, [key]).envelope.raw, masks


def _seed(partial: bytes, sealed: bytes, secret: X25519PrivateKey) -> Seed:
    # Verified when it was taken; what is kept is this process's own.
    binding = Binding.of(schema.decode(Partial, dsse.Envelope.parse(partial).payload))
    return open_seed(sealed, secret, binding)


def _noised(question: Question, seeds: Iterable[Seed]) -> bytes:
    """The blob of a `shared` batch: the sum of the masks with the helper's full noise."""
    total = MaskSum(Layout.of(question.rules, question.rounds))
    for seed in seeds:
        total.add(seed)
    label = _LABEL + str(question.batch.document.batch).encode()
    stream = derived(question.secret.private_bytes_raw(), label)
    return total.answer(draw_noise(question.rules, question.rounds, stream)).encode()
