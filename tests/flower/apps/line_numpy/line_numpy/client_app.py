from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from line_numpy.task import fit, loss, read_points

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    inputs, targets = read_points(context.node_config["data-path"])
    (weights,) = message.content["arrays"].to_numpy_ndarrays()
    config = message.content["config"]
    fitted = fit(
        weights,
        inputs,
        targets,
        context.run_config["local-steps"],
        config["rate"],
        float(config.get("proximal-mu", 0.0)),
    )
    metrics = {"train_loss": loss(fitted, inputs, targets), "num-examples": len(targets)}
    return Message(
        RecordDict({"arrays": ArrayRecord([fitted]), "metrics": MetricRecord(metrics)}),
        reply_to=message,
    )


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    inputs, targets = read_points(context.node_config["data-path"])
    (weights,) = message.content["arrays"].to_numpy_ndarrays()
    metrics = {"eval_loss": loss(weights, inputs, targets), "num-examples": len(targets)}
    return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=message)
