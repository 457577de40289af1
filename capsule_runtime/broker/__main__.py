"""`python -m capsule_runtime.broker FD`: started by the agent, never by a person.

FD is its end of a SOCK_SEQPACKET pair. Before anything else this process loses every way to a
network; then it opens the state files, proves the sandbox with real canaries, and serves.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys

from capsule_runtime.broker import confinement


def main(descriptor: int) -> int:
    """Serve the agent on `descriptor` until it hangs up. Returns the exit status."""
    confinement.forbid_network()
    confinement.forbid_inspection()
    # Ctrl-C reaches the whole terminal group; the agent decides when we end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(
        level=logging.INFO, format="%(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    # Imported under the filter: nothing heavy runs before it stands.
    from capsule_runtime.broker.boot import start  # noqa: PLC0415 - see above

    if os.geteuid() == 0:
        sys.stderr.write("the broker never runs as root\n")
        return 1
    end = socket.socket(fileno=descriptor)
    end.setblocking(True)  # noqa: FBT003 - the socket's own signature
    start(end)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
