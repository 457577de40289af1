import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp, strategy

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    config = context.run_config
    chosen = getattr(strategy, config["strategy"])
    plan = chosen(proximal_mu=0.5) if config["strategy"] == "FedProx" else chosen()
    result = plan.start(
        grid=grid,
        initial_arrays=ArrayRecord([np.zeros(3)]),
        num_rounds=config["num-server-rounds"],
        train_config=ConfigRecord({"rate": config["learning-rate"]}),
        evaluate_fn=steepness,
    )
    np.savez(config["out"], *result.arrays.to_numpy_ndarrays())


def steepness(server_round: int, arrays: ArrayRecord) -> MetricRecord:
    (weights,) = arrays.to_numpy_ndarrays()
    return MetricRecord({"steepness": float(np.abs(weights[:2]).sum())})
