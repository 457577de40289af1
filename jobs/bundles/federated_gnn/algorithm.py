"""Node classification on a graph whose parts are held by several capsules.

Each round every capsule trains the common model on its own subgraph and answers with how far the
model moved, times a weight that grows with its training nodes; `conclude` divides the two sums,
takes the step, and keeps the model with the least loss over the validation nodes.

A model is one row of numbers: the parameters of a two-layer network in their order, then zeros up
to the length that `bundle.toml` gives every model of this bundle.
"""

import hashlib

import numpy as np
import torch
from torch.nn import functional
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv, SAGEConv
from torch_geometric.utils import to_undirected

FEATURES, CLASSES = 1433, 7  # of the graph: what a bundle for another graph changes
TRAINING, VALIDATION, TEST = 1, 2, 3  # the column `split`; any other value: none of them
LONGEST = 2.0  # as the clip bound: no round moves the model further than one full client may
LEAST_WEIGHT = 1e-3  # below it there is nobody to learn from


class Network(torch.nn.Module):
    """Two layers of graph convolution with a rectifier and dropout between them."""

    def __init__(self, parameters):
        super().__init__()
        layer = {"gcn": GCNConv, "sage": SAGEConv}[parameters["model"]]
        hidden = parameters["hidden"]
        self.first, self.second = layer(FEATURES, hidden), layer(hidden, CLASSES)
        self.dropout = float(parameters["dropout"])

    def forward(self, graph):
        """Scores of shape (nodes, CLASSES)."""
        within = self.first(graph.x, graph.edge_index)
        within = functional.relu(functional.dropout(within, self.dropout, self.training))
        return self.second(within, graph.edge_index)

    def read(self):
        """The parameters as one row."""
        row = torch.cat([values.detach().reshape(-1) for values in self.parameters()])
        return row.double().numpy()

    def write(self, row):
        """Set the parameters to what `read` would return; computation is in 32 bits."""
        place = 0
        with torch.no_grad():
            for values in self.parameters():
                part = torch.tensor(row[place : place + values.numel()], dtype=torch.float32)
                values.copy_(part.reshape(values.shape))
                place += values.numel()


def initial(parameters):
    """The model before the first round: Glorot's uniform weights, no bias, drawn by the seed."""
    draw, network = np.random.default_rng(parameters["seed"]), Network(parameters)
    rows = [
        draw.uniform(-1.0, 1.0, values.numel()) * np.sqrt(6.0 / sum(values.shape))
        if values.ndim == 2
        else np.zeros(values.numel())
        for values in network.parameters()
    ]
    return np.concatenate(rows)


def predictions(capsule, row, parameters):
    """The class that model `row` gives each node of `capsule`. int64, shape (nodes,)."""
    network = Network(parameters).eval()
    network.write(row)
    with torch.no_grad():
        return network(_graph(capsule)).argmax(1).numpy()


def contribute(capsule, parameters):
    """How far this capsule moves the model, its weight, and what it says of the model before."""
    graph, network = _graph(capsule), Network(parameters)
    start = _current(parameters)
    network.write(start)
    metrics = _metrics(network, graph)
    if not metrics[1]:
        return {"update": np.zeros(len(start)), "weight": np.zeros(1), "metrics": metrics}
    torch.manual_seed(_draw(capsule, parameters))
    _train(network, graph, parameters)
    weight = min(metrics[1] / parameters["full_weight"], 1.0)
    return {
        "update": (_filled(network.read(), len(start)) - start) * weight,
        "weight": np.array([weight]),
        "metrics": metrics,
    }


def conclude(aggregate, parameters):
    """The next model, and how good the one that this round began with was."""
    state, model = parameters["state"], _current(parameters)
    weight = aggregate["weight"][0]
    mean = aggregate["update"] / weight if weight > LEAST_WEIGHT else np.zeros(len(model))
    mean = mean * min(1.0, LONGEST / max(float(np.linalg.norm(mean)), 1e-12))
    velocity = float(parameters["momentum"]) * state["velocity"] + mean
    step = float(parameters["server_rate"]) * velocity
    number, told = parameters["round"], aggregate["metrics"]
    losses = np.array([_share(told[0], told[1]), _share(told[2], told[4])])
    accuracy = np.array([_share(told[3], told[4]), _share(told[5], told[6])])
    kept, record = state["kept"], state["record"]
    if number == 1 or losses[1] < record[2]:
        kept, record = model, np.array([*accuracy, losses[1], float(number)])
    idle = number - record[3]
    return {
        "accuracy": accuracy,
        "loss": losses,
        "best": record,
        "round": np.array([weight, float(np.linalg.norm(step))]),
        "model": model + step,
        "velocity": velocity,
        "kept": kept,
        "record": record,
        "stop": np.array([int(0 < parameters["patience"] <= idle)]),
    }


def _current(parameters):
    """The model that this round begins with. The first state is zeros, the same for everybody."""
    model = parameters["state"]["model"]
    return _filled(initial(parameters), len(model)) if parameters["round"] == 1 else model


def _filled(row, room):
    """`row` with zeros behind it, `room` numbers in all."""
    if len(row) > room:
        raise ValueError(f"the model has {len(row)} numbers, the bundle has room for {room}")
    return np.pad(row, (0, room - len(row)))


def _graph(capsule):
    """The capsule's subgraph; edges and features that name no node or no feature are left out."""
    labels = capsule["nodes"]["label"]
    count = len(labels)
    edges = np.stack([capsule["edges"]["source"], capsule["edges"]["target"]])
    edges = edges[:, ((edges >= 0) & (edges < count)).all(axis=0) & (edges[0] != edges[1])]
    node, feature = capsule["features"]["node"], capsule["features"]["feature"]
    known = (node >= 0) & (node < count) & (feature >= 0) & (feature < FEATURES)
    features = torch.zeros(count, FEATURES)
    features[torch.tensor(node[known]), torch.tensor(feature[known])] = 1.0
    split = np.where((labels >= 0) & (labels < CLASSES), capsule["nodes"]["split"], 0)
    return Data(
        x=features,
        edge_index=to_undirected(torch.tensor(edges), num_nodes=count),
        y=torch.tensor(labels),
        split=torch.tensor(split),
    )


def _train(network, graph, parameters):
    """Full-batch descent on the training nodes; `proximal` pulls back to where it began."""
    network.train()
    training, pull = graph.split == TRAINING, float(parameters["proximal"])
    start = [values.detach().clone() for values in network.parameters()]
    descent = torch.optim.SGD(
        network.parameters(), lr=float(parameters["rate"]), weight_decay=float(parameters["decay"])
    )
    for _ in range(parameters["epochs"]):
        descent.zero_grad()
        loss = functional.cross_entropy(network(graph)[training], graph.y[training])
        if pull:
            moved = zip(network.parameters(), start, strict=True)
            loss = loss + pull / 2 * sum(((now - then) ** 2).sum() for now, then in moved)
        loss.backward()
        descent.step()


def _metrics(network, graph):
    """The seven numbers of the release `metrics`."""
    network.eval()
    with torch.no_grad():
        scores = network(graph)
    right = scores.argmax(1) == graph.y

    def counts(part):
        within = graph.split == part
        loss = functional.cross_entropy(scores[within], graph.y[within], reduction="sum")
        return [float(loss), int(right[within].sum()), int(within.sum())]

    (loss, _, nodes), validation, test = map(counts, (TRAINING, VALIDATION, TEST))
    return np.array([loss, nodes, *validation, *test[1:]], float)


def _draw(capsule, parameters):
    """A seed for this capsule's dropout in this round: capsules draw apart, runs draw alike."""
    told = np.array([parameters["seed"], parameters["round"]]).tobytes()
    told += capsule["edges"]["source"].tobytes() + capsule["nodes"]["label"].tobytes()
    return int.from_bytes(hashlib.sha256(told).digest()[:7], "big")


def _share(right, of):
    return right / of if of >= 0.5 else 0.0
