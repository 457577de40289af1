"""The link scorer that learns: a graph neural network that corrects the gravity model.

Homes and works are two types of node; every way of travel is an edge type from home to work and,
for messages back, from work to home. A node knows its persons by way of travel, its position and
whether it is the territory's own. The decoder reads both ends, the distance and the gravity
model's estimates, and adds to these; before training it says exactly what gravity says.

Training masks edges: known pairs are dealt into parts; each part in turn is scored from the
others, gravity's estimates included, so that no pair is ever told by its own edges. The drawn
numbers come from the seed, on one thread: the same input gives the same model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.nn import GraphConv, HeteroConv

from graph.pairs import Flags, Pairs, Reals, Whole
from graph.scoring import GravityScorer, LearntGravity, Scores

Triple = tuple[str, str, str]
HIDDEN = 16
PARTS = 5  # of the known pairs, each masked in turn
_EPOCHS, _RATE, _DECAY, _DROPOUT = 30, 5e-3, 1e-3, 0.2
_SHARES_WEIGH = 2.0  # the loss of shares against that of presence
# Persons that stand for the territory's own shares in a place's: ten edges of the least size.
_DRAWN = 200.0


@dataclass(frozen=True)
class NetworkScorer:
    """`messages=False` leaves the edges out of the network: what they are worth can be measured."""

    messages: bool = True
    epochs: int = _EPOCHS

    @property
    def name(self) -> str:
        """As figures are listed."""
        return "gnn" if self.messages else "network-without-messages"

    def learn(self, pairs: Pairs, known: Flags, seed: int) -> LearntNetwork:
        """As the protocol says."""
        base = GravityScorer().learn(pairs, known, seed)
        part = np.random.default_rng(seed).permutation(np.arange(len(pairs)) % PARTS)
        views = []
        for number in range(PARTS):
            rows, others = np.flatnonzero(known & (part == number)), known & (part != number)
            if rows.size and others.any():
                views.append((rows, _view(pairs, others, rows, base, messages=self.messages)))
        with _repeatable(seed):
            network = _Network(len(pairs.modes))
            steps = torch.optim.Adam(network.parameters(), lr=_RATE, weight_decay=_DECAY)
            network.train()
            for _ in range(self.epochs):
                for rows, view in views:
                    steps.zero_grad()
                    _loss(pairs, rows, *network(view)).backward()  # type: ignore[no-untyped-call]
                    steps.step()
            network.eval()
        return LearntNetwork(network, base, self.messages)


@dataclass(frozen=True)
class LearntNetwork:
    """A trained network with the gravity model that it corrects."""

    network: _Network
    base: LearntGravity
    messages: bool

    def scores(self, pairs: Pairs, known: Flags, rows: Whole) -> Scores:
        """As the protocol says."""
        view = _view(pairs, known, rows, self.base, messages=self.messages)
        with _repeatable(0), torch.no_grad():
            shares, presence = self.network(view)
            return Scores(torch.softmax(shares, 1).numpy(), torch.sigmoid(presence).numpy())


@dataclass(frozen=True)
class _View:
    """What the network reads: the graph of the known pairs, and the pairs that are asked."""

    nodes: Mapping[str, Tensor]
    edges: Mapping[Triple, Tensor]
    weights: Mapping[Triple, Tensor]
    home: Tensor
    work: Tensor
    pair: Tensor
    shares: Tensor
    presence: Tensor


class _Network(nn.Module):
    def __init__(self, modes: int) -> None:
        super().__init__()
        self.read = nn.ModuleDict(
            {side: nn.Linear(modes + 4, HIDDEN).double() for side in ("home", "work")}
        )
        self.pass_on = HeteroConv(
            {
                triple: GraphConv((HIDDEN, HIDDEN), HIDDEN, aggr="mean").double()
                for mode in range(modes)
                for triple in (_there(mode), _back(mode))
            },
            aggr="sum",
        )
        self.decide = nn.Sequential(
            nn.Linear(2 * HIDDEN + 4 + 2 * modes, HIDDEN),
            nn.ReLU(),
            nn.Dropout(_DROPOUT),
            nn.Linear(HIDDEN, 2 * modes),
        ).double()
        last = self.decide[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, view: _View) -> tuple[Tensor, Tensor]:
        """(n, M) logits of shares, (n, M) logits of presence."""
        own = {side: torch.relu(self.read[side](x)) for side, x in view.nodes.items()}
        told = self.pass_on(own, dict(view.edges), edge_weight_dict=dict(view.weights))
        known = {side: own[side] + torch.relu(told[side]) for side in own}
        ends = [known["home"][view.home], known["work"][view.work]]
        found = self.decide(torch.cat([*ends, view.pair, view.shares, view.presence], 1))
        modes = view.shares.shape[1]
        return view.shares + found[:, :modes], view.presence + found[:, modes:]


def _loss(pairs: Pairs, rows: Whole, shares: Tensor, presence: Tensor) -> Tensor:
    persons = torch.from_numpy(pairs.persons[rows])
    edges = torch.from_numpy(pairs.released[rows].astype(np.float64))
    told = -(persons * torch.log_softmax(shares, 1)).sum() / persons.sum().clamp(min=1.0)
    return _SHARES_WEIGH * told + nn.functional.binary_cross_entropy_with_logits(presence, edges)


def _view(pairs: Pairs, known: Flags, rows: Whole, base: LearntGravity, *, messages: bool) -> _View:
    persons, presence = base.logits(pairs, known, rows)
    shares = np.log(persons) - np.log(persons.sum(axis=1, keepdims=True))
    edges, weights = {}, {}
    for mode in range(len(pairs.modes)):
        kept = known & pairs.released[:, mode] & messages
        ends = torch.from_numpy(np.stack([pairs.home[kept], pairs.work[kept]]))
        weight = torch.from_numpy(np.log1p(pairs.persons[kept, mode]) / 5)
        for triple, both in ((_there(mode), ends), (_back(mode), ends.flip(0))):
            edges[triple], weights[triple] = both, weight
    distance = np.stack([pairs.km[rows] / 10, np.log(pairs.km[rows])], axis=1)
    owned = np.stack([pairs.own[pairs.home[rows]], pairs.own[pairs.work[rows]]], axis=1)
    return _View(
        nodes={
            "home": torch.from_numpy(_places(pairs, known, pairs.home)),
            "work": torch.from_numpy(_places(pairs, known, pairs.work)),
        },
        edges=edges,
        weights=weights,
        home=torch.from_numpy(pairs.home[rows]),
        work=torch.from_numpy(pairs.work[rows]),
        pair=torch.from_numpy(np.concatenate([distance, owned], axis=1)),
        shares=torch.from_numpy(shares),
        presence=torch.from_numpy(presence),
    )


def _places(pairs: Pairs, known: Flags, side: Whole) -> Reals:
    """(Z, M + 4): log of each way's share against the whole, size, own or not, position."""
    zones = len(pairs.places)
    persons = pairs.persons[known]
    usual = (persons.sum(axis=0) + 1) / (persons.sum() + len(pairs.modes))
    sums = np.stack([np.bincount(side[known], column, zones) for column in persons.T], axis=1)
    whole = sums.sum(axis=1, keepdims=True)
    shares = np.log((sums + _DRAWN * usual) / (whole + _DRAWN) / usual)
    owned = pairs.own[:, None].astype(np.float64)
    return np.concatenate([shares, np.log1p(whole) / 5, owned, pairs.position / 10], axis=1)


def _there(mode: int) -> Triple:
    return ("home", f"mode{mode}", "work")


def _back(mode: int) -> Triple:
    return ("work", f"from{mode}", "home")


@contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    """One thread and drawn numbers of `seed`, and everything as it was afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
