"""The territory on paper with a campaign under `encrypted`: a keyholder opens its one batch.

The bytes of ciphertexts, masks and keys are drawn: nobody who audits ever has them. What is signed
about them, the noised steps and the aggregate are real. `EncryptedBuilder(edits=...)` takes the
edits of its parents and those of the documents below; an edit of `second_epoch`,
`second_opened`, `keyholder_list`, `leaked_sum` or `leaked_key` makes that one too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from jobs import aggregate
from protection import accounting
from protection.aggregators import draw_noise
from tests.audit.evidence_builder import TERRITORY
from tests.audit.shared_evidence import Parts, SharedBuilder
from trust import schema
from trust.documents.aggregation import AggregateShare, Side
from trust.documents.custody import (
    AggregateOpened,
    EpochKey,
    EpochRetired,
    ShareRequest,
    ShareReturned,
    TrusteeKey,
)
from trust.documents.reporting import Partial
from trust.documents.rules import Protection
from trust.dsse import Envelope
from trust.ids import Digest, KeyEpochId
from trust.log.entry import Kind


class EncryptedBuilder(SharedBuilder):
    """See the module. `giving` are the places of the trustees that give their share."""

    giving: Sequence[int] = (1, 3, 5)

    def _manifest(self, text: str) -> str:
        return super()._manifest(text).replace('"shared"', '"encrypted"')

    def _engage(self) -> Digest | None:
        helper = super()._engage()
        self.drawn: dict[str, Digest] = {}
        trustees = []
        for place, key in enumerate(self.keys.trustees, start=1):
            document = TrusteeKey(TERRITORY, self._entropy(32), self._tick())
            envelope = self._sign(f"trustee{place}", document, key)
            if f"unlogged{place}" in self._edits:
                self._edit(f"unlogged{place}", None)
            else:
                self._log(Kind.TRUSTEE_KEY, envelope)
            trustees.append(envelope.digest)
        epoch = EpochKey(
            territory=TERRITORY,
            campaign=self.campaign,
            bundle=self.bundle.digest,
            authorisation=self.vote.id,
            epoch=KeyEpochId.draw(self._entropy),
            profile="somme",
            public=self._put("public", self._entropy(64)),
            threshold=3,
            trustees=tuple(trustees),
            sealed=tuple(Digest.of(self._entropy(32)) for _ in trustees),
            shares=tuple(self._entropy(32) for _ in trustees),
            secret=self._entropy(32),
            wrapped=self._secret("leaked_key"),
            made_at=self._tick(),
            not_after=self.now + timedelta(days=30),
        )
        self.epoch_key = self._sign("epoch_key", epoch, self.keys.keyholder)
        if "late_epoch" not in self._edits:
            self._log(Kind.EPOCH_KEY, self.epoch_key)
        if "second_epoch" in self._edits:
            self._log(Kind.EPOCH_KEY, self._sign("second_epoch", epoch, self.keys.keyholder))
        self.epoch = self.epoch_key.digest
        return helper

    def _secret(self, leak: str) -> Digest:
        """The digest of bytes that belong in nobody's evidence."""
        blob = self._entropy(64)
        if leak in self._edits:
            blob = self._edit(leak, blob)
            self.hidden[Digest.of(blob)] = blob
        return Digest.of(blob)

    def _protect(self, index: int, partial: Partial, values: Any) -> Partial:
        self.halves[partial.report] = ()  # type: ignore[assignment]
        ciphertext = self._entropy(64)
        if index == 0 and "leaked" in self._edits:
            leaked = self._edit("leaked", ciphertext)
            self.hidden[Digest.of(leaked)] = leaked
        return dataclasses.replace(
            partial,
            values=Digest.of(ciphertext),
            sealed=Digest.of(self._entropy(64)),
            protection=Protection.ENCRYPTED,
            variances=self._variances(),
        )

    def _keep_sum(self, name: str, blob: bytes) -> Digest:
        return self._secret("leaked_sum" if name == "leader_values" else "")

    def _variances(self) -> dict[str, str]:
        return {rule.output: "0" for rule in self.vote.rules}

    def _sum(self, parts: Parts, batch: Digest) -> tuple[bytes, tuple[Digest, ...]]:
        if "late_epoch" in self._edits:
            self._edit("late_epoch", None)
            self._log(Kind.EPOCH_KEY, self.epoch_key)
        if "accept_list" in self._edits:
            self._accept(parts, "accept_list", self.keys.helper)
        if "keyholder_list" in self._edits:
            # The helper was asked about what is in it.
            self._accept(parts, "keyholder_list", self.keys.keyholder, "ciphertext-unfit")
        self._commit_batch("batch_commitment", batch)
        leader = self._share(Side.LEADER, batch, b"", self.keys.orders)
        helper = self._share(Side.HELPER, batch, b"", self.keys.helper)
        self._returned(batch, leader, helper)
        rules, rounds = self.vote.rules, self.bundle.manifest.rounds.maximum
        noise = draw_noise(rules, rounds, self._entropy)
        steps = {
            rule.output: np.ascontiguousarray(
                sum(part.values[rule.output] for _, part in parts) + noise[rule.output], np.int64
            )
            for rule in rules
        }
        blob = aggregate.encode_partial(rules, steps)
        opened = AggregateOpened(
            territory=TERRITORY,
            campaign=self.campaign,
            round=1,
            plan=self.plan,
            parameters=self.parameters,
            epoch=self.epoch_key.digest,
            batch=batch,
            leader=leader,
            helper=helper,
            values=self._put("opened_values", blob),
            variances=accounting.variances_of(rules, rounds),
            opened_at=self._tick(),
        )
        third = self._log(Kind.OPENED, self._sign("opened", opened, self.keys.keyholder))
        if "second_opened" in self._edits:
            again = self._sign("second_opened", opened, self.keys.keyholder)
            self._log(Kind.OPENED, again)
        combined = aggregate.combine(rules, [aggregate.Part(steps, opened.variances)])
        return combined, (leader, helper, third)

    def _returned(self, batch: Digest, leader: Digest, helper: Digest) -> None:
        """The keyholder asks, `giving` answer."""
        sums = [
            schema.decode(AggregateShare, Envelope.parse(self.objects[digest]).payload).values
            for digest in (leader, helper)
        ]
        request = ShareRequest(
            territory=TERRITORY,
            campaign=self.campaign,
            round=1,
            plan=self.plan,
            epoch=self.epoch_key.digest,
            batch=batch,
            sum=sums[0],
            masks=sums[1],
            key=self._entropy(32),
            asked_at=self._tick(),
            not_after=self.now + timedelta(hours=1),
        )
        asked = self._sign("share_request", request, self.keys.keyholder)
        self._log(Kind.SHARE_REQUEST, asked)
        for place in self.giving:
            given = ShareReturned(
                territory=TERRITORY,
                campaign=self.campaign,
                round=1,
                epoch=self.epoch_key.digest,
                batch=batch,
                request=asked.digest,
                place=place,
                sealed=Digest.of(self._entropy(32)),
                returned_at=self._tick(),
            )
            signer = self.keys.trustees[place - 1]
            self._log(Kind.TRUSTEE_SHARE, self._sign(f"returned{place}", given, signer))

    def _settle(self) -> None:
        super()._settle()
        notice = EpochRetired(
            TERRITORY, self.campaign, self.epoch_key.digest, "campaign-ended", self._tick()
        )
        envelope = self._sign("epoch_retired", notice, self.keys.keyholder)
        if "kept_epoch" in self._edits:
            self._edit("kept_epoch", None)
        else:
            self._log(Kind.EPOCH_RETIRED, envelope)
