"""flwr loaded and used once: what a Flower app's author calls, found in memory by a child.

flwr brings a command line, an HTTP client and gRPC along; none of them can do anything in here.
"""

from __future__ import annotations

import importlib
import io
import warnings

PARTS = (
    "flwr.app", "flwr.clientapp", "flwr.common", "flwr.serverapp", "flwr.serverapp.strategy",
    "flwr.supercore.run", "flwr.supercore.task_identity", "flwr.compat.server.grid",
)  # fmt: skip
# What apps read tables and write models with; flwr itself loads most of it.
STANDARD = ("bz2", "csv", "gzip", "logging", "lzma", "os", "pathlib", "pprint", "urllib.parse",
            "urllib.request", "uuid", "zipfile")  # fmt: skip


def exercise_flwr() -> None:
    """Records there and back, a strategy of each family, a table read and a model written."""
    for name in (*PARTS, *STANDARD):
        importlib.import_module(name)
    import numpy as np  # noqa: PLC0415
    from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict  # noqa: PLC0415
    from flwr.serverapp.strategy import FedAdam, FedAvg, FedAvgM, FedProx  # noqa: PLC0415

    arrays = ArrayRecord([np.zeros(3, "<f4")])
    records = RecordDict(
        {
            "arrays": arrays,
            "config": ConfigRecord({"rate": 0.1}),
            "metrics": MetricRecord({"num-examples": 1}),
        }
    )
    repr(records)
    records["arrays"].to_numpy_ndarrays()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for strategy in (FedAvg(), FedAvgM(), FedAdam(), FedProx(proximal_mu=0.1)):
            repr(strategy)
    stream = io.BytesIO()
    np.savez(stream, rows=np.zeros(3))
    stream.seek(0)
    np.load(stream)["rows"]
    np.loadtxt(io.StringIO("1,2"), delimiter=",")
    np.genfromtxt(io.StringIO("a,b\n1,2"), delimiter=",", names=True)
