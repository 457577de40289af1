"""torch and torch_geometric in the real sandbox: what runs, with which bits, and what does not."""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capsule_runtime.sandbox import Job, Limits, Outcome, Status, Zygote, selftest
from capsule_runtime.sandbox.layout import find_layout
from capsule_runtime.sandbox.libraries import DISTRIBUTIONS, complete
from jobs.libraries import TORCH_MEMORY_MIB, contents

LIBRARIES = contents("torch_geometric")
pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(
        not all(map(complete, LIBRARIES)), reason="the extra `learning` is not installed"
    ),
]
MakeJob = Callable[..., Job]
Once = Callable[..., Outcome]
Columns = Callable[..., bytes]
ROOM = Limits(memory_mib=TORCH_MEMORY_MIB, cpu_seconds=20, wall_seconds=40.0)

TRAINING = """
import torch
from torch_geometric.nn import GCNConv, SAGEConv


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = GCNConv(16, 32), SAGEConv(32, 4)

    def forward(self, x, edges):
        return self.second(torch.nn.functional.dropout(self.first(x, edges).relu(), 0.1), edges)


def contribute(capsule, parameters):
    torch.manual_seed(1)
    x = torch.from_numpy(capsule["people"]["x"].reshape(-1, 16).copy()).float()
    edges, y = torch.randint(0, len(x), (2, 900)), torch.randint(0, 4, (len(x),))
    net = Net()
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    losses = []
    for _ in range(10):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x, edges), y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    weights = torch.nn.utils.parameters_to_vector(net.parameters()).detach().double()
    return [*losses, weights.sum().item(), weights.square().sum().item()]
"""
HETEROGENEOUS = """
import torch
from torch_geometric.data import HeteroData
from torch_geometric.explain import Explainer, GNNExplainer
from torch_geometric.nn import GCN, HeteroConv, MessagePassing, SAGEConv
from torch_geometric.transforms import ToUndirected


class Mine(MessagePassing):
    def forward(self, x, edges):
        return self.propagate(edges, x=x)

    def message(self, x_j):
        return 2 * x_j


def contribute(capsule, parameters):
    torch.manual_seed(2)
    graph = HeteroData()
    graph["resident"].x, graph["sector"].x = torch.randn(20, 4), torch.randn(5, 6)
    pairs = torch.stack([torch.arange(20), torch.arange(20) % 5])
    graph["resident", "lives", "sector"].edge_index = pairs
    graph = ToUndirected()(graph)
    conv = HeteroConv({e: SAGEConv((-1, -1), 3) for e in graph.edge_types}, aggr="mean")
    out = conv(graph.x_dict, graph.edge_index_dict)
    total = sum(part.sum() for part in out.values())
    total.backward()
    own = Mine(aggr="mean")(torch.ones(3, 2), torch.tensor([[0, 1], [1, 2]]))
    explain = Explainer(
        GCN(2, 4, 2, 2), GNNExplainer(epochs=2), explanation_type="model",
        edge_mask_type="object",
        model_config=dict(
            mode="multiclass_classification", task_level="node", return_type="raw"
        ),
    )
    shown = explain(torch.randn(4, 2), torch.tensor([[0, 1, 2], [1, 2, 3]]))
    return [total.item(), own.sum().item(), float(shown.edge_mask.shape[0])]
"""
PER_EXAMPLE = """
import torch
from torch.func import functional_call, grad, vmap


def contribute(capsule, parameters):
    model = torch.nn.Linear(3, 1)
    weights = {name: value.detach() for name, value in model.named_parameters()}
    one = grad(lambda held, row: functional_call(model, held, (row,)).square().sum())
    found = vmap(one, in_dims=(None, 0))(weights, torch.randn(5, 3))
    return [float(found["weight"].shape[0])]
"""


@pytest.fixture(scope="module")
def learning(run_as: tuple[int, int] | None) -> Iterator[Zygote]:
    with Zygote.start(LIBRARIES, run_as=run_as, keep_stderr=True) as started:
        yield started


@pytest.fixture
def people(columns: Columns) -> bytes:
    return columns({"people": {"x": np.random.default_rng(5).normal(size=100 * 16)}})


def answers(outcome: Outcome) -> tuple[float, ...]:
    assert outcome.status is Status.ok, outcome.stderr.decode()
    assert outcome.frame is not None
    return struct.unpack(f"<{len(outcome.frame) // 8}d", outcome.frame)


def test_a_training_step_has_the_same_bits_in_every_child_and_sandbox(
    learning: Zygote,
    once: Once,
    make_job: MakeJob,
    people: bytes,
    run_as: tuple[int, int] | None,
) -> None:
    job = make_job(TRAINING, shape=(12,), dtype="float64", limits=ROOM)
    first = once(learning, job, people)
    losses = answers(first)
    assert losses[9] < losses[0]
    assert once(learning, job, people).frame == first.frame
    with Zygote.start(LIBRARIES, run_as=run_as) as another:
        assert once(another, job, people).frame == first.frame


def test_heterogeneous_graphs_own_layers_and_explanations(
    learning: Zygote, once: Once, make_job: MakeJob
) -> None:
    job = make_job(HETEROGENEOUS, shape=(3,), dtype="float64", limits=ROOM)
    assert answers(once(learning, job))[1:] == (8.0, 3.0)


def test_a_gradient_per_example(learning: Zygote, once: Once, make_job: MakeJob) -> None:
    job = make_job(PER_EXAMPLE, dtype="float64", limits=ROOM)
    assert answers(once(learning, job)) == (5.0,)


def test_a_forgotten_seed_gives_the_same_draws(
    learning: Zygote, once: Once, make_job: MakeJob
) -> None:
    source = """
import random
import numpy
import torch

def contribute(capsule, parameters):
    return [torch.rand(1).item(), numpy.random.rand(), random.random()]
"""
    job = make_job(source, shape=(3,), dtype="float64", limits=ROOM)
    first = answers(once(learning, job))
    assert len(set(first)) == 3
    assert answers(once(learning, job)) == first


def test_the_sandbox_binds_what_the_libraries_load_and_no_more(
    learning: Zygote, once: Once, make_job: MakeJob
) -> None:
    source = """
import sys

def contribute(capsule, parameters):
    files = {n: getattr(m, "__file__", None) or "" for n, m in list(sys.modules.items())}
    print(*sorted({n.split(".")[0] for n, f in files.items() if f.startswith("/libraries/")}))
    return [1]
"""
    outcome = once(learning, make_job(source, limits=ROOM))
    loaded = set(outcome.stderr.decode().split())
    names = {name.replace("-", "_") for library in LIBRARIES for name in DISTRIBUTIONS[library]}
    assert loaded - {"torchgen", "functorch"} == names
    bound = {bind.target.name.partition(".")[0] for bind in find_layout(LIBRARIES).libraries}
    assert bound - loaded <= {"functorch", "isympy"}  # parts of torch and sympy that stay unread


def test_a_numpy_bundle_on_a_worker_with_torch_does_not_see_it(
    zygote: Zygote, once: Once, make_job: MakeJob
) -> None:
    source = """
import sys

def contribute(capsule, parameters):
    try:
        import torch
    except ModuleNotFoundError:
        return [sum(name.startswith("torch") for name in sys.modules)]
"""
    outcome = once(zygote, make_job(source))
    assert outcome.frame == bytes(8)
    assert outcome.peak_rss_kib < 100 * 1024


@pytest.mark.parametrize("memory", [300, 760])
def test_too_little_memory_is_a_limit(
    learning: Zygote, once: Once, make_job: MakeJob, memory: int
) -> None:
    source = """
import torch

def contribute(capsule, parameters):
    return [int(torch.ones(100_000_000).sum())]
"""
    limits = Limits(memory_mib=memory, cpu_seconds=20, wall_seconds=40.0)
    assert once(learning, make_job(source, limits=limits)).status is Status.killed_limit


def test_the_manifests_least_memory_is_enough_for_a_model(
    learning: Zygote, once: Once, make_job: MakeJob
) -> None:
    source = """
import torch

def contribute(capsule, parameters):
    model = torch.nn.Sequential(*(torch.nn.Linear(1000, 1000) for _ in range(20)))
    optimiser = torch.optim.Adam(model.parameters())
    model(torch.ones(8, 1000)).sum().backward()
    optimiser.step()
    return [sum(p.numel() for p in model.parameters())]
"""
    outcome = once(learning, make_job(source, limits=ROOM))
    assert outcome.frame == (20 * 1_001_000).to_bytes(8, "little"), outcome.stderr


@pytest.mark.parametrize(
    ("body", "status"),
    [
        # More threads: the start of one is the policy's end.
        ("torch.set_num_threads(4); torch.randn(900, 900) @ torch.randn(900, 900)", "policy"),
        ("torch.zeros(9).share_memory_()", "error"),
        ("torch.save(torch.zeros(3), '/tmp/x')", "error"),
        ("torch.from_file('/tmp/x', shared=True, size=9)", "error"),
        ("torch.compile(lambda x: x * 2)(torch.ones(2))", "error"),
        # It writes machine code at run time.
        ("torch.nn.EmbeddingBag(9, 4, mode='sum')(torch.tensor([[1, 2]]))", "error"),
    ],
)
def test_torchs_ways_out_are_closed(
    learning: Zygote, once: Once, make_job: MakeJob, body: str, status: str
) -> None:
    source = f"import torch\n\ndef contribute(capsule, parameters):\n    {body}\n    return [1]\n"
    outcome = once(learning, make_job(source, limits=ROOM))
    expected = {"policy": Status.killed_policy, "error": Status.error}[status]
    assert outcome.status is expected, outcome.stderr


@pytest.mark.parametrize("canary", ["openat", "executable_memory", "connect"])
def test_the_canaries_die_beside_torch_too(
    learning: Zygote, once: Once, make_job: MakeJob, canary: str
) -> None:
    source = selftest.CANARY_SOURCE.decode().replace("def canary", "def contribute")
    job = make_job(source, limits=ROOM, parameters=b'{"name":"%s"}' % canary.encode())
    outcome = once(learning, job)
    if selftest.CANARIES[canary] == selftest.KILLED:
        assert outcome.status is Status.killed_policy
    else:
        assert outcome.frame == bytes(8)


class Exploit:
    """What a pickled model would do where it is loaded."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self._call, self._arguments = call, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._call, self._arguments


LOADING = """
import io
import pickle
import torch

def contribute(capsule, parameters):
    blob = io.BytesIO(capsule["model"]["byte"].astype("u1").tobytes())
    try:
        torch.load(blob, **parameters)
    except pickle.UnpicklingError:
        return [1]
    except OSError:
        return [2]
    return [3]
"""


def pickled(columns: Columns, exploit: Exploit) -> bytes:
    raw = io.BytesIO()
    pickle.dump(exploit, raw, protocol=2)
    return columns({"model": {"byte": np.frombuffer(raw.getvalue(), "u1").astype("i8")}})


def test_a_pickled_model_in_the_data_is_refused_or_harmless(
    learning: Zygote, once: Once, make_job: MakeJob, columns: Columns
) -> None:
    import os

    data = pickled(columns, Exploit(os.open, "/etc/passwd", 0))
    safe = make_job(LOADING, limits=ROOM)
    assert once(learning, safe, data).frame == (1).to_bytes(8, "little")
    # An algorithm that asks for it runs the pickle, which can do what the algorithm could: nothing.
    loose = make_job(LOADING, limits=ROOM, parameters=b'{"weights_only": false}')
    assert once(learning, loose, data).frame == (2).to_bytes(8, "little")
    shell = pickled(columns, Exploit(os.system, "touch /tmp/out"))
    assert once(learning, loose, shell).status is Status.killed_policy
    assert not Path("/tmp/out").exists()


def test_one_library_brings_those_before_it() -> None:
    torch = find_layout(contents("torch"))
    assert torch.library_names == ("numpy", "torch")
    assert "torch_geometric" not in {bind.target.name for bind in torch.libraries}
