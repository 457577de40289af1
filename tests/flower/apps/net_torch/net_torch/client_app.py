from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from net_torch.task import Net, read_points, test
from net_torch.task import train as train_net

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    net = Net()
    net.load_state_dict(message.content["arrays"].to_torch_state_dict())
    data = read_points(context.node_config["data-path"])
    total = train_net(
        net, data, context.run_config["local-epochs"], message.content["config"]["rate"]
    )
    metrics = MetricRecord({"train_loss": total, "num-examples": len(data)})
    return Message(
        RecordDict({"arrays": ArrayRecord(net.state_dict()), "metrics": metrics}), reply_to=message
    )


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    net = Net()
    net.load_state_dict(message.content["arrays"].to_torch_state_dict())
    data = read_points(context.node_config["data-path"])
    loss, accuracy = test(net, data)
    metrics = MetricRecord({"eval_loss": loss, "accuracy": accuracy, "num-examples": len(data)})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)
