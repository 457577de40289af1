"""How people choose their way to work: a heterogeneous graph network, learnt person by person.

Each record is a small graph of its own. Nodes: one resident, the sector where she lives and the
one where she works, six modes. Sectors speak to the resident, each relation with weights of its
own (two SAGEConv, summed); the resident then speaks to every mode that is open to her, over an
edge that carries this way's time and cost. What a mode hears is its score.

Edges to modes are of four types, most with weights of their own. Whose graph lacks a type says
nothing of its weights, and says so: module `steps` divides each type by those who have it.

The guard clips what one person's record says; module `steps` makes a step of the noised sum.
"""

import numpy as np
import torch
from torch_geometric.nn import MessagePassing, SAGEConv

MODES = 6  # alone, shared by two, shared by three or more, public transport, bicycle, on foot
# What is public about a mode: is it shared, scheduled, muscle-powered? Driving alone is none.
KINDS = ((0, 0, 0), (1, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 1))
WIDTH = 3
EDGES = 4  # types of the edges to modes: alone, shared, scheduled, muscle
TYPES = np.array([0, 1, 1, 2, 3, 3])  # of the edge to each mode
PERSONAL, SECTOR, HOME, WAY = 6, 4, 2, 4
WEIGHTS = 49
# The edge type that each weight belongs to, in the network's order; -1: it is in every graph.
OWNERS = np.concatenate(
    [
        TYPES,
        *(np.repeat([1, 2, 3], width) for width in (HOME, 1, PERSONAL, SECTOR)),
        [-1, -1, -1, 3],
    ]
)
WALK = 5
SPREAD = 0.05  # of the weights before the first round
BEND = 3.0  # where the resident's state begins to level off
LARGEST_LOSS = 4.0
LENGTH = 1.96  # of one person's gradient: what is left of the guard's 2 is for rounding


class Offers(MessagePassing):
    """Resident to mode: how well the mode's kind and this way's times and costs suit her."""

    def __init__(self):
        super().__init__(aggr="sum")
        self.way = torch.nn.Linear(WAY, 1, bias=False)

    def forward(self, residents, modes, edges, ways):
        """[persons x 6, 1] scores: `residents` [persons, 3], `modes` [persons x 6, 3]."""
        return self.propagate(
            edges, x=(residents, modes), ways=ways, size=(len(residents), len(modes))
        )

    def message(self, x_i, x_j, ways):
        return (x_i * x_j).sum(dim=-1, keepdim=True) + self.way(ways)


class ChoiceNetwork(torch.nn.Module):
    """Two layers of messages: sectors to residents, residents to modes."""

    def __init__(self):
        super().__init__()
        self.lives = SAGEConv((HOME, PERSONAL), WIDTH)
        self.works = SAGEConv((SECTOR, PERSONAL), WIDTH, root_weight=False, bias=False)
        self.offers = Offers()
        self.usual = torch.nn.Parameter(torch.zeros(MODES))
        self.double()

    def forward(self, graph):
        """[persons, 6]: the score of every mode, minus infinity where it is closed."""
        persons = len(graph["resident"])
        lives = self.lives((graph["home"], graph["resident"]), graph["same"])
        works = self.works((graph["work"], graph["resident"]), graph["same"])
        state = BEND * torch.tanh((lives + works) / BEND)
        kinds = torch.tensor(KINDS, dtype=torch.float64).repeat(persons, 1)
        heard = self.offers(state, kinds, graph["open"], graph["ways"]).view(persons, MODES)
        return (heard + self.usual).masked_fill(graph["closed"], -torch.inf)


def network(weights):
    """A ChoiceNetwork with these 49 numbers."""
    made = ChoiceNetwork()
    flat = torch.from_numpy(np.array(weights, np.float64))
    torch.nn.utils.vector_to_parameters(flat, made.parameters())
    return made


def start(seed):
    """[49]: the weights before the first round."""
    return SPREAD * np.random.default_rng(int(seed)).normal(size=WEIGHTS)


def graph_of(table):
    """The graphs of all records of `table`, side by side; features in public units, cut and scaled.

    The chosen mode is not looked at: what is known of a way is known of all of them alike.
    """
    column = {name: np.asarray(values, np.float64) for name, values in table.items()}
    income = np.clip(column["income"], 3.0, 150.0) / 50.0
    cars = column["vehicles"] / np.maximum(column["workers"], 1.0)
    distance = np.clip(column["distance"], 0.5, 50.0)
    resident = np.stack(
        [
            income - 1.0,
            2.0 * np.clip(cars, 0.0, 1.0) - 1.5,
            np.clip(cars, 1.0, 2.0) - 1.3,
            column["vehicles"] == 0,
            np.clip(column["household"], 1.0, 5.0) / 2.0 - 1.5,
            np.log(distance) - 2.0,
        ],
        axis=1,
    )
    home = np.stack([_density(column["home_residents"]), _density(column["home_jobs"])], axis=1)
    work = np.stack(
        [
            _density(column["work_residents"]),
            _density(column["work_jobs"]),
            column["work_core"] > 0,
            column["work_centre"] > 0,
        ],
        axis=1,
    )
    opened = np.stack([column[f"open_{mode}"] > 0 for mode in range(1, MODES + 1)], axis=1)
    ways = np.zeros((*opened.shape, WAY))
    for mode in range(MODES):
        ways[:, mode, 0] = np.clip(column[f"ride_{mode + 1}"], 0.0, 120.0) / 30.0
        ways[:, mode, 1] = np.clip(column[f"wait_{mode + 1}"], 0.0, 80.0) / 20.0
        ways[:, mode, 2] = np.clip(column[f"cost_{mode + 1}"], 0.0, 1500.0) / 150.0
    ways[:, :, 2] /= np.sqrt(np.maximum(income, 0.4))[:, None]
    ways[:, WALK, 3] = np.minimum(distance, 10.0) / 3.0
    persons, modes = np.nonzero(opened)
    here = torch.arange(len(opened))
    return {
        "resident": torch.from_numpy(resident.astype(np.float64)),
        "home": torch.from_numpy(home),
        "work": torch.from_numpy(work.astype(np.float64)),
        "same": torch.stack([here, here]),
        "open": torch.from_numpy(np.stack([persons, persons * MODES + modes])),
        "ways": torch.from_numpy(ways[persons, modes]),
        "closed": torch.from_numpy(~opened),
    }


def edges_of(table):
    """[persons, 4]: one where a graph has an edge of this type, else zero."""
    found = np.zeros((len(table["open_1"]), EDGES))
    for mode in range(MODES):
        found[np.asarray(table[f"open_{mode + 1}"]) > 0, TYPES[mode]] = 1.0
    return found


def _density(per_acre):
    return np.log1p(np.clip(per_acre, 0.0, 8000.0)) / 2.0 - 1.25


def probabilities(weights, table):
    """[persons, 6]: how likely each person takes each mode, under a released model."""
    with torch.no_grad():
        return torch.softmax(network(weights)(graph_of(table)), dim=1).numpy()


def contribute(capsule, parameters):
    """One person's gradient, whether her choice was foreseen, and her graph's edge types."""
    table = capsule["commute"]
    mode = int(table["mode"][0])
    nothing = {"update": np.zeros(WEIGHTS), "progress": np.zeros(3 + EDGES)}
    if not 1 <= mode <= MODES or table[f"open_{mode}"][0] <= 0:
        return nothing
    made = network(start(parameters["seed"]) + parameters["state"]["moved"])
    scores = made(graph_of(table))
    loss = torch.nn.functional.cross_entropy(scores, torch.tensor([mode - 1]))
    loss.backward()
    slopes = torch.cat([weight.grad.view(-1) for weight in made.parameters()])
    right = int(scores.argmax()) == mode - 1
    slopes *= min(1.0, LENGTH / max(float(slopes.norm()), LENGTH))
    share = min(float(loss.detach()), LARGEST_LOSS) / LARGEST_LOSS
    progress = np.concatenate([[1.0, float(right), share], edges_of(table)[0]])
    return {"update": slopes.numpy(), "progress": progress}
