"""The territory on paper with a campaign under `shared`: two institutions open its one batch.

Shares, seeds, seals and noise are real; so is the helper's key, which is destroyed at the end.
`SharedBuilder(edits=...)` takes the edits of its parent and those of the documents below; an
edit of `second_batch`, `refusal` or `accept_list` makes that document too.
"""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from jobs import aggregate
from protection import accounting
from protection.aggregators import draw_noise
from protection.batch import Batch
from protection.layout import Layout, Vector
from protection.scope import Binding
from protection.seeds import Seed, seal
from protection.shares import MaskSum, ShareSum, split
from tests.audit.evidence_builder import TERRITORY, EvidenceBuilder
from trust import schema
from trust.documents.aggregation import (
    AcceptList,
    AggregateShare,
    BatchCommitment,
    Dropped,
    HelperKey,
    HelperRefusal,
    KeyDestroyed,
    Side,
)
from trust.documents.reporting import Partial
from trust.documents.rules import Protection, ReleaseRules
from trust.documents.signed import Signed
from trust.ids import Digest, ReportId
from trust.keys import PrivateKey
from trust.log.entry import Kind

Parts = list[tuple[Signed[Any], aggregate.Part]]


class SharedBuilder(EvidenceBuilder):
    """See the module."""

    def _manifest(self, text: str) -> str:
        return super()._manifest(text).replace('"clear"', '"shared"')

    def _engage(self) -> Digest | None:
        self.halves: dict[ReportId, tuple[Vector, Seed]] = {}
        self.secret = X25519PrivateKey.from_private_bytes(self._entropy(32))
        key = HelperKey(
            territory=TERRITORY,
            campaign=self.campaign,
            bundle=self.bundle.digest,
            authorisation=self.vote.id,
            key=self.secret.public_key().public_bytes_raw(),
            made_at=self._tick(),
            not_after=self.now + timedelta(days=30),
        )
        self.helper_key = self._sign("helper_key", key, self.keys.helper)
        if "late_key" not in self._edits:
            self._log(Kind.HELPER_KEY, self.helper_key)
        if "second_key" in self._edits:
            self._log(Kind.HELPER_KEY, self._sign("second_key", key, self.keys.helper))
        return self.helper_key.digest

    @property
    def rules(self) -> tuple[ReleaseRules, ...]:
        """The voted rules, as those of a ring whatever was voted."""
        return tuple(
            dataclasses.replace(rule, protection=Protection.SHARED) for rule in self.vote.rules
        )

    @property
    def layout(self) -> Layout:
        """Where each output lies in a share."""
        return Layout.of(self.rules, self.bundle.manifest.rounds.maximum)

    def _protect(self, index: int, partial: Partial, values: Any) -> Partial:
        seed = Seed.draw(self._entropy)
        share = split(values, self.layout, seed)
        self.halves[partial.report] = (share, seed)
        sealed = seal(seed, self.secret.public_key(), Binding.of(partial))
        if index == 0 and "leaked" in self._edits:
            leaked = self._edit("leaked", {"share": share.encode(), "seed": sealed})
            self.hidden[Digest.of(leaked)] = leaked
        return dataclasses.replace(
            partial,
            values=Digest.of(share.encode()),
            sealed=Digest.of(sealed),
            protection=Protection.SHARED,
            variances={rule.output: "0" for rule in self.vote.rules},
        )

    def _commit_batch(self, name: str, batch: Digest) -> None:
        lines = schema.decode(Batch, self.objects[batch])
        commitment = BatchCommitment(
            territory=TERRITORY,
            campaign=self.campaign,
            round=1,
            plan=self.plan,
            parameters=self.parameters,
            helper=self.helper_key.digest,
            batch=batch,
            partials=lines.reports,
            contributors_rounded=lines.contributors_rounded,
            committed_at=self._tick(),
        )
        self._log(Kind.BATCH, self._sign(name, commitment, self.keys.orders))

    def _sum(self, parts: Parts, batch: Digest) -> tuple[bytes, tuple[Digest, ...]]:
        if "late_key" in self._edits:
            self._edit("late_key", None)
            self._log(Kind.HELPER_KEY, self.helper_key)
        if "accept_list" in self._edits:
            self._accept(parts, "accept_list", self.keys.helper)
        if "no_batch" in self._edits:
            self._edit("no_batch", None)
        else:
            self._commit_batch("batch_commitment", batch)
        if "second_batch" in self._edits:
            self._commit_batch("second_batch", batch)
        if "refusal" in self._edits:
            refusal = HelperRefusal(
                TERRITORY, self.campaign, 1, "already-opened", "no", self._tick()
            )
            self._log(Kind.REFUSAL, self._sign("refusal", refusal, self.keys.helper))
        rules, rounds = self.rules, self.bundle.manifest.rounds.maximum
        shares, masks = ShareSum(self.layout), MaskSum(self.layout)
        for envelope, _ in parts:
            share, seed = self.halves[envelope.document.report]
            shares.add(share)
            masks.add(seed)
        leader = shares.answer(draw_noise(rules, rounds, self._entropy)).encode()
        helper = masks.answer(draw_noise(rules, rounds, self._entropy)).encode()
        total = sum(envelope.document.contributors for envelope, _ in parts)
        opened = aggregate.open_shares(
            rules, leader, helper, rounds=rounds, contributors=total // 10 * 10 + 9
        )
        return opened, (
            self._share(Side.LEADER, batch, leader, self.keys.orders),
            self._share(Side.HELPER, batch, helper, self.keys.helper),
        )

    def _share(self, side: Side, batch: Digest, blob: bytes, key: PrivateKey) -> Digest:
        share = AggregateShare(
            territory=TERRITORY,
            campaign=self.campaign,
            round=1,
            plan=self.plan,
            parameters=self.parameters,
            batch=batch,
            side=side,
            values=self._keep_sum(f"{side}_values", blob),
            variances=self._variances(),
            made_at=self._tick(),
        )
        return self._log(Kind.SHARE, self._sign(f"{side}_share", share, key))

    def _keep_sum(self, name: str, blob: bytes) -> Digest:
        """One side's sum, published: its noise is inside."""
        return self._put(name, blob)

    def _variances(self) -> dict[str, str]:
        """Of the noise in each side's sum."""
        rounds = self.bundle.manifest.rounds.maximum
        return accounting.variances_of(self.vote.rules, rounds)

    def _accept(
        self, parts: Parts, name: str, key: PrivateKey, code: str = "above-registry"
    ) -> None:
        """An opener's own list, for auditors: what it left out of what the leader had."""
        accepted = {envelope.document.report for envelope, _ in parts}
        document = AcceptList(
            territory=TERRITORY,
            campaign=self.campaign,
            round=1,
            plan=self.plan,
            accepted=tuple(sorted(accepted)),
            dropped=tuple(Dropped(report, code) for report in sorted(set(self.halves) - accepted)),
            prepared_at=self._tick(),
        )
        envelope = self._sign(name, document, key)
        self.hidden[envelope.digest] = envelope.envelope.raw

    def _settle(self) -> None:
        notice = KeyDestroyed(TERRITORY, self.campaign, self.helper_key.digest, self._tick())
        envelope = self._sign("key_destroyed", notice, self.keys.helper)
        if "kept_key" in self._edits:
            self._edit("kept_key", None)
        else:
            self._log(Kind.KEY_DESTROYED, envelope)
