"""What every server of the cooperative does alike: an address, and a clean stop on a signal."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from typing import Protocol

from governance.errors import GovernanceError


class AddressRefused(GovernanceError):
    """A listening address that is not HOST:PORT."""

    code = "address-refused"


class Serving(Protocol):
    """A server whose `serve` returns once `close` was called from another thread."""

    def serve(self) -> None:
        """Answer until closed."""
        ...

    def close(self) -> None:
        """Stop `serve`."""
        ...


def parse_address(listen: str) -> tuple[str, int]:
    """The host and port of `HOST:PORT`; port 0 takes a free one. Raises AddressRefused."""
    host, separator, port = listen.rpartition(":")
    if not separator or not host or not port.isdecimal() or int(port) > 65_535:
        raise AddressRefused(f"{listen!r} is not HOST:PORT", remedy="as in 127.0.0.1:7004")
    return host.strip("[]"), int(port)


def start_logging() -> None:
    """What happens goes to standard error from now on, with its time."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


def until_stopped(server: Serving, said: str) -> None:
    """Say once what is served and where, then serve until SIGTERM or SIGINT arrives."""

    def stop(_signal: int, _frame: object) -> None:
        # `close` waits for the serving loop, which is this very thread: another one must ask.
        threading.Thread(target=server.close, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    sys.stderr.write(f"{said}\n")
    sys.stderr.flush()
    server.serve()
