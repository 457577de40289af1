"""torch and torch_geometric loaded and used once, so that a child finds every part in memory.

Both import parts of themselves at first use, and torch chooses kernels and starts threads then.
One thread: a fork loses all others, and a sum over several threads changes its last bits.
"""

from __future__ import annotations

import importlib
import io
import os
import tempfile
import warnings
from typing import Any

TORCH_PARTS = (
    "torch", "torch.autograd.functional", "torch.distributions", "torch.fft", "torch.func",
    "torch.linalg", "torch.nn", "torch.nn.functional", "torch.nn.init", "torch.nn.utils",
    "torch.nn.utils.parametrizations", "torch.optim", "torch.optim.lr_scheduler", "torch.sparse",
    "torch.special", "torch.utils.checkpoint", "torch.utils.data",
)  # fmt: skip
GEOMETRIC_PARTS = (
    "torch_geometric", "torch_geometric.data", "torch_geometric.explain", "torch_geometric.loader",
    "torch_geometric.nn", "torch_geometric.nn.conv", "torch_geometric.nn.models",
    "torch_geometric.nn.pool", "torch_geometric.seed", "torch_geometric.transforms",
    "torch_geometric.utils",
)  # fmt: skip
# torch's own start value of its generator; it is set back to it after the exercise.
START_SEED = 67280421310721


def exercise_torch() -> None:
    """Every part that training on tables and graphs takes: layers, optimisers, sparse, draws."""
    # torch names a cache folder while it loads and makes it when it is missing. Nothing can be
    # made here, so it gets an existing one, which never holds a file.
    tempfile.tempdir = os.environ["TORCHINDUCTOR_CACHE_DIR"] = "/tmp"  # noqa: S108
    for name in TORCH_PARTS:
        importlib.import_module(name)
    torch = importlib.import_module("torch")
    nn = torch.nn

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    # oneDNN writes machine code for each shape at run time. A child may not: it would compute the
    # shapes seen here with other kernels, and other last bits, than all the rest.
    torch.backends.mkldnn.set_flags(False)
    torch.manual_seed(0)
    rows, classes = torch.randn(12, 4), torch.randint(0, 3, (12,))
    model = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.LayerNorm(8), nn.Dropout(0.1),
        nn.Linear(8, 3),
    )  # fmt: skip
    for optimiser in (
        torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01),
        torch.optim.Adam(model.parameters(), lr=0.01),
        torch.optim.AdamW(model.parameters(), lr=0.01),
        torch.optim.Adagrad(model.parameters()),
        torch.optim.RMSprop(model.parameters(), lr=0.01),
    ):
        schedule = torch.optim.lr_scheduler.StepLR(optimiser, step_size=1)
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(rows), classes).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    flat = nn.utils.parameters_to_vector(model.parameters()).detach()
    nn.utils.vector_to_parameters(flat, model.parameters())
    model.load_state_dict(model.state_dict())
    with torch.no_grad():
        model.eval()(rows).softmax(dim=-1).log_softmax(dim=-1).argmax(dim=-1).numpy()
    _exercise_losses(rows, classes)
    _exercise_sparse(rows)
    _exercise_data(rows, classes)
    memory = io.BytesIO()
    torch.save(model.state_dict(), memory)
    memory.seek(0)
    torch.load(memory)
    repr(rows), repr(model)
    torch.from_numpy(rows.double().numpy().copy())


def _exercise_losses(rows: Any, classes: Any) -> None:
    torch = importlib.import_module("torch")
    functional = torch.nn.functional

    weights = rows.clone().requires_grad_()
    functional.nll_loss(functional.log_softmax(weights, dim=1), classes).backward()
    functional.binary_cross_entropy_with_logits(weights[:, 0], classes.clamp(max=1).float())
    functional.mse_loss(weights, rows)
    functional.one_hot(classes, 3)
    functional.dropout(rows, 0.5, training=True)
    torch.autograd.grad(functional.elu(weights).pow(2).sum(), weights, create_graph=True)
    torch.func.vmap(torch.func.grad(lambda row: row.square().sum()))(rows)
    torch.func.jacrev(torch.square)(rows[0])
    torch.func.hessian(lambda row: row.pow(3).sum())(rows[0])
    layer = torch.nn.Linear(4, 1)
    torch.func.functional_call(layer, dict(layer.named_parameters()), (rows,))
    torch.randperm(5, generator=torch.Generator().manual_seed(3))
    torch.multinomial(torch.ones(4), 2, generator=torch.Generator().manual_seed(3))
    torch.nn.init.xavier_uniform_(torch.empty(3, 3))
    torch.distributions.Categorical(logits=rows).sample()
    torch.linalg.svd(rows)
    torch.linalg.solve(torch.eye(3), torch.ones(3, 1))
    torch.fft.rfft(rows)
    torch.einsum("ij,kj->ik", rows, rows)


def _exercise_sparse(rows: Any) -> None:
    torch = importlib.import_module("torch")

    edges = torch.tensor([[0, 1, 2, 2], [1, 2, 0, 1]])
    source, target = edges
    torch.zeros(3, 4).index_add_(0, target, rows[source])
    index = target.unsqueeze(1).expand(-1, 4)
    for reduce in ("sum", "mean", "amax", "amin", "prod"):
        torch.zeros(3, 4).scatter_reduce_(0, index, rows[source], reduce)
    torch.zeros(3, 4).scatter_add_(0, index, rows[source])
    torch.unique(edges, return_inverse=True)
    torch.cat([rows, rows]).topk(2, dim=0)
    torch.bincount(target, minlength=3)
    weighted = rows[:3].clone().requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls them young; said at each first use
        coo = torch.sparse_coo_tensor(edges, torch.ones(4), (3, 3)).coalesce()
        csr = coo.to_sparse_csr()
        for matrix in (coo, csr):
            (matrix @ weighted).sum().backward()
        torch.sparse.mm(coo, weighted)


def _exercise_data(rows: Any, classes: Any) -> None:
    torch = importlib.import_module("torch")
    loading = torch.utils.data

    generator = torch.Generator().manual_seed(1)
    pairs = loading.TensorDataset(rows, classes)
    for _ in loading.DataLoader(pairs, batch_size=5, shuffle=True, generator=generator):
        pass


def exercise_torch_geometric() -> None:
    """Homogeneous and heterogeneous graphs, the usual convolutions, batches, an explanation."""
    for name in GEOMETRIC_PARTS:
        importlib.import_module(name)
    torch = importlib.import_module("torch")
    geometric = importlib.import_module("torch_geometric")
    nn, data = geometric.nn, geometric.data
    geometric.seed_everything(0)
    edges = geometric.utils.to_undirected(torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]]))
    graph = data.Data(x=torch.randn(4, 5), edge_index=edges, y=torch.tensor([0, 1, 0, 1]))
    graph.validate()
    for name in ("NormalizeFeatures", "AddSelfLoops"):
        graph = getattr(geometric.transforms, name)()(graph)
    weights = torch.rand(graph.num_edges)
    for layer in (
        nn.GCNConv(5, 3), nn.SAGEConv(5, 3), nn.GraphConv(5, 3), nn.GATConv(5, 3, heads=2),
        nn.GATv2Conv(5, 3), nn.TransformerConv(5, 3), nn.TAGConv(5, 3), nn.APPNP(2, 0.1),
        nn.GINConv(torch.nn.Linear(5, 3)),
    ):  # fmt: skip
        found = layer(graph.x, graph.edge_index)
        if found.requires_grad:
            found.sum().backward()
    nn.GCNConv(5, 3)(graph.x, graph.edge_index, weights).sum().backward()
    for model in (nn.GCN(5, 8, 2, 2), nn.GraphSAGE(5, 8, 2, 2), nn.GAT(5, 8, 2, 2)):
        model(graph.x, graph.edge_index).sum().backward()
    batch = data.Batch.from_data_list([graph, graph])
    nn.global_mean_pool(batch.x, batch.batch)
    for _ in geometric.loader.DataLoader([graph, graph], batch_size=2):
        pass
    _exercise_utilities(graph.edge_index)
    _exercise_heterogeneous(data.HeteroData())


def _exercise_utilities(edges: Any) -> None:
    torch = importlib.import_module("torch")
    utils = importlib.import_module("torch_geometric.utils")

    utils.add_self_loops(utils.remove_self_loops(edges)[0])
    utils.coalesce(edges)
    utils.degree(edges[0], 4)
    utils.k_hop_subgraph(0, 2, edges, relabel_nodes=True)
    utils.subgraph([0, 1, 2], edges, relabel_nodes=True)
    utils.negative_sampling(edges, num_nodes=4)
    utils.scatter(torch.ones(edges.shape[1]), edges[0], reduce="mean")
    utils.softmax(torch.ones(edges.shape[1]), edges[0])
    utils.to_dense_adj(edges)


def _exercise_heterogeneous(graph: Any) -> None:
    torch = importlib.import_module("torch")
    nn = importlib.import_module("torch_geometric.nn")
    transforms = importlib.import_module("torch_geometric.transforms")

    graph["person"].x, graph["sector"].x = torch.randn(3, 4), torch.randn(2, 6)
    graph["person", "lives", "sector"].edge_index = torch.tensor([[0, 1, 2], [0, 1, 0]])
    graph = transforms.ToUndirected()(graph)
    for first in (nn.SAGEConv, nn.GraphConv):
        layer = nn.HeteroConv({edge: first((-1, -1), 5) for edge in graph.edge_types}, aggr="sum")
        found = layer(graph.x_dict, graph.edge_index_dict)
        sum(value.sum() for value in found.values()).backward()
    nn.HeteroDictLinear({"person": 4, "sector": 6}, 5)(graph.x_dict)
    convolution = nn.HGTConv({"person": 4, "sector": 6}, 8, graph.metadata(), heads=2)
    convolution(graph.x_dict, graph.edge_index_dict)
    model = nn.to_hetero(nn.GraphSAGE((-1, -1), 4, 1, 2), graph.metadata())
    model(graph.x_dict, graph.edge_index_dict)
