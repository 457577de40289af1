"""Every node sends back what it was sent."""

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.query()
def echo(message: Message, context: Context) -> Message:
    """The same arrays."""
    del context
    return Message(RecordDict({"arrays": message.content["arrays"]}), reply_to=message)
