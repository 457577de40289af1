"""How plausible flows are by each way of travel, and how good a scorer is at telling it.

Every score is made by a model that saw neither this pair's edges nor those of its fold
(cross-fitting): what is called plausible on a pair is what other pairs teach, and the same scores
measure the scorer on edges that were held out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from graph import gravity
from graph.errors import PotentialRefused
from graph.pairs import Flags, Pairs, Reals, Whole

FOLDS = 5
# One deal of folds leaves the ranking to chance: scores are the mean over so many deals.
REPEATS = 4
# With fewer edges the folds hold next to nothing, and no scorer can be told from another.
LEAST_EDGES = 20
_FLOOR = 1e-12


@dataclass(frozen=True)
class Scores:
    """What a model expects on n pairs by M ways of travel."""

    share: Reals  # (n, M): of the pair's persons; rows add up to 1
    presence: Reals  # (n, M): that at least the source's minimum travels this way


class Learnt(Protocol):
    """A model after training."""

    def scores(self, pairs: Pairs, known: Flags, rows: Whole) -> Scores:
        """The scores of `rows`, told from the edges of the pairs in `known` alone."""


class Scorer(Protocol):
    """A kind of model."""

    @property
    def name(self) -> str:
        """As figures are listed."""

    def learn(self, pairs: Pairs, known: Flags, seed: int) -> Learnt:
        """Train on the pairs in `known`; the same seed gives the same model."""


@dataclass(frozen=True)
class CrossFit:
    """One scorer's scores of all pairs: of each the mean over models that did not see it."""

    name: str
    fold: Whole  # (R, P): one deal of folds per repeat
    learnt: tuple[tuple[Learnt, ...], ...]  # one per repeat and fold
    scores: Scores  # (P, M)


@dataclass(frozen=True)
class Measure:
    """How well held-out edges were told."""

    auc: float  # of presence: edge or none, over pairs and ways of travel
    log_loss: float  # of presence, nats per pair and way
    share_log_loss: float  # of the ways of travel, nats per person
    pairs: int
    edges: int


@dataclass(frozen=True)
class Choice:
    """The scorer that is used, and by how much the challenger was better (nats per person)."""

    chosen: CrossFit
    gain: float
    error: float  # one standard error of the gain, over pairs


def folds(pairs: Pairs, seed: int, repeats: int) -> Whole:
    """(R, P): the folds of each pair. Raises PotentialRefused when edges are too few."""
    edges = int(pairs.released.sum())
    if edges < LEAST_EDGES:
        raise PotentialRefused(f"{edges} edges between places are too few, {LEAST_EDGES} needed")
    dealt = np.arange(len(pairs), dtype=np.int64) % FOLDS
    draw = np.random.default_rng(seed)
    return np.stack([draw.permutation(dealt) for _ in range(repeats)])


def cross_fit(pairs: Pairs, scorer: Scorer, seed: int, repeats: int = REPEATS) -> CrossFit:
    """Train one model per repeat and fold on the other folds, and let it score its own."""
    fold = folds(pairs, seed, repeats)
    shape = (len(pairs), len(pairs.modes))
    share, presence = np.zeros(shape), np.zeros(shape)
    learnt: list[tuple[Learnt, ...]] = []
    for repeat, of in enumerate(fold):
        models = []
        for number in range(FOLDS):
            known, rows = of != number, np.flatnonzero(of == number)
            models.append(scorer.learn(pairs, known, seed * repeats + repeat))
            found = models[-1].scores(pairs, known, rows)
            share[rows] += found.share / repeats
            presence[rows] += found.presence / repeats
        learnt.append(tuple(models))
    return CrossFit(scorer.name, fold, tuple(learnt), Scores(share, presence))


def measure(pairs: Pairs, scores: Scores) -> Measure:
    """The figures of `scores` against the graph's own edges."""
    chance = np.clip(scores.presence, _FLOOR, 1 - _FLOOR)
    told = np.where(pairs.released, chance, 1 - chance)
    return Measure(
        auc=auc(scores.presence.ravel(), pairs.released.ravel()),
        log_loss=float(-np.log(told).mean()),
        share_log_loss=float(_losses(pairs, scores).sum() / pairs.persons.sum()),
        pairs=len(pairs),
        edges=int(pairs.released.sum()),
    )


def choose(pairs: Pairs, baseline: CrossFit, challenger: CrossFit) -> Choice:
    """The challenger when its share log-loss is lower by more than one standard error.

    Shares are what the valuation rests on; otherwise the simpler baseline is used.
    """
    each = _losses(pairs, baseline.scores) - _losses(pairs, challenger.scores)
    persons = pairs.persons.sum()
    gain = float(each.sum() / persons)
    error = float(each.std(ddof=1) * np.sqrt(len(each)) / persons)
    return Choice(challenger if gain > error else baseline, gain, error)


def auc(score: Reals, label: Flags) -> float:
    """The chance that an edge scores higher than a pair without; ties count half."""
    _, place, size = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(size) - (size - 1) / 2)[place]
    edges, others = int(label.sum()), int((~label).sum())
    if not edges or not others:
        return float("nan")
    return float((rank[label].sum() - edges * (edges + 1) / 2) / (edges * others))


def _losses(pairs: Pairs, scores: Scores) -> Reals:
    """(P,): nats of each pair, all its persons together."""
    losses: Reals = -(pairs.persons * np.log(np.maximum(scores.share, _FLOOR))).sum(axis=1)
    return losses


class GravityScorer:
    """Shares of the gravity model's persons; presence is a logistic curve of them per mode."""

    name = "gravity"

    def learn(self, pairs: Pairs, known: Flags, seed: int) -> LearntGravity:  # noqa: ARG002
        """Nothing is drawn: every seed gives the same model."""
        terms = _terms(pairs, gravity.intensities(pairs, known)[known])
        edges = pairs.released[known].astype(np.float64)
        return LearntGravity(
            np.stack([_logistic(terms[:, m], edges[:, m]) for m in range(len(pairs.modes))])
        )


@dataclass(frozen=True)
class LearntGravity:
    """The curves; persons are fitted anew to whatever is known."""

    curve: Reals  # (M, 2)

    def scores(self, pairs: Pairs, known: Flags, rows: Whole) -> Scores:
        """As the protocol says."""
        persons, logits = self.logits(pairs, known, rows)
        return Scores(persons / persons.sum(axis=1, keepdims=True), 1 / (1 + np.exp(-logits)))

    def logits(self, pairs: Pairs, known: Flags, rows: Whole) -> tuple[Reals, Reals]:
        """(n, M) persons, and (n, M) log-odds of presence."""
        persons = gravity.intensities(pairs, known)[rows]
        found: Reals = (_terms(pairs, persons) * self.curve).sum(axis=2)
        return persons, np.clip(found, -30, 30)


def _terms(pairs: Pairs, persons: Reals) -> Reals:
    # Against the size that an edge has at least, never under a hundredth of a person.
    size = np.log(np.maximum(persons, 0.01) / max(1, pairs.minimum))
    return np.stack([np.ones_like(size), size], axis=2)


def _logistic(x: Reals, y: Reals) -> Reals:
    """A curve by Newton's method, with a ridge so that separable edges have one too."""
    learnt = np.zeros(x.shape[1])
    for _ in range(25):
        chance = 1 / (1 + np.exp(-np.clip(x @ learnt, -30, 30)))
        slope = x.T @ (y - chance) - 0.01 * learnt
        bend = (x * (chance * (1 - chance))[:, None]).T @ x + 0.01 * np.eye(len(learnt))
        step = np.linalg.solve(bend, slope)
        learnt = learnt + step / max(1.0, float(np.abs(step).max()))
    return learnt
