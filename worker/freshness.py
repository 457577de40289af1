"""Is this still the only machine that speaks as this worker? Asked before anything of it leaves.

A state directory can be copied or restored. The scheduler takes every exchange number once, so
of two lives that share a number only one is answered; but it repeats old answers, and a life that
acted on one would draw its noise again and hand over a second sum of the same people. Hence:

- after a start no unit begins, and nothing is delivered, until an exchange that was composed in
  this life has been answered (`alive`);
- a report leaves, and its blob before it, only after an exchange that was begun *after* the
  report was kept has been answered (`settled`). A copy made before then is behind that number and
  never answered; a copy made later holds the same bytes.

What had no price is `free`: public data without noise, and conclusions, which are functions of
what is published. Another life of the worker would say the same, so nothing is asked about it.

Each such exchange names, among the attempts that the worker holds, one that was just drawn: the
probe. The scheduler knows no such attempt and says so at once, so nothing waits for a long poll,
and an answer that names it was made for this very batch, not for an earlier life's of the same
number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from trust.ids import AttemptId


@dataclass(frozen=True)
class Question:
    """What one exchange asks: the probe, and the reports that were kept before it was begun."""

    probe: AttemptId
    reports: frozenset[AttemptId]


@dataclass(frozen=True)
class Freshness:
    """What was confirmed in this life; pure, each method returns the next state."""

    alive: bool = False
    settled: frozenset[AttemptId] = frozenset()
    ended: frozenset[AttemptId] = frozenset()  # settled, but the scheduler wants no blob for them
    questions: Mapping[int, Question] = field(default_factory=dict)  # by exchange number

    def asks(self, reports: Iterable[AttemptId]) -> frozenset[AttemptId]:
        """The reports that must be asked about before they may leave."""
        return frozenset(reports) - self.settled

    def asked(self, sequence: int, probe: AttemptId, reports: Collection[AttemptId]) -> Freshness:
        """Exchange `sequence` is about to be sent; `reports` are in the journal already."""
        question = Question(probe, frozenset(reports))
        return replace(self, questions={**self.questions, sequence: question})

    def answered(self, sequence: int, cancelled: Collection[AttemptId]) -> Freshness:
        """A verified answer to exchange `sequence` arrived, cancelling these attempts."""
        question = self.questions.get(sequence)
        if question is None or question.probe not in cancelled:
            return self
        return replace(
            self,
            alive=True,
            settled=self.settled | question.reports,
            ended=self.ended | (question.reports & frozenset(cancelled)),
            questions={number: q for number, q in self.questions.items() if number > sequence},
        )

    def free(self, report: AttemptId) -> Freshness:
        """This report may leave at once: two copies of it tell no more than one."""
        return replace(self, settled=self.settled | {report}) if self.alive else self

    def unwanted(self, attempt: AttemptId) -> Freshness:
        """The scheduler refused the blob of this report: its attempt has ended there."""
        return replace(self, ended=self.ended | {attempt})

    def refused(self) -> Freshness:
        """Another machine was answered in our place: this life counts as a copy from now on."""
        return replace(self, alive=False, questions={})

    def forgotten(self, reports: Collection[AttemptId]) -> Freshness:
        """Reports whose receipts are kept."""
        gone = frozenset(reports)
        return replace(self, settled=self.settled - gone, ended=self.ended - gone)

    def probes(self, sequence: int) -> frozenset[AttemptId]:
        """The probe of an exchange: an attempt that never was, of no meaning to anybody else."""
        question = self.questions.get(sequence)
        return frozenset() if question is None else frozenset({question.probe})
