"""Small static files of another program over HTTP: roots, log, status; bounded, never trusted.

What is fetched here is verified by whoever asked for it; this module only bounds size and time.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from trust.root import MAXIMUM_CHAIN
from wire.errors import BadMessage, Unreachable

TIMEOUT_SECONDS = 10.0
MAXIMUM_FILE_BYTES = 16 * 1024 * 1024
_NOT_FOUND = 404


def fetch(url: str, *, limit: int = MAXIMUM_FILE_BYTES) -> bytes | None:
    """The file at `url`; None when the server says that there is none.

    Raises Unreachable or BadMessage. Blocks for at most some seconds: call it from a thread.
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise BadMessage(
            f"{url[:200]} is not an http address", remedy="write it like https://host/path"
        )
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - checked
            data: bytes = answer.read(limit + 1)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == _NOT_FOUND:
            return None
        raise Unreachable(
            f"{url} answered with status {error.code}",
            remedy="ask again later; if it stays so, ask whoever serves that address",
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(
            f"{url} does not answer", remedy="check the address, the network and any proxy"
        ) from error
    if len(data) > limit:
        raise BadMessage(
            f"{url} is larger than {limit} bytes",
            remedy="check that the address is the one that the territory published",
        )
    return data


def fetch_roots(site: str, first: int = 1) -> list[bytes]:
    """Root envelopes from version `first` on, as far as the site has them. Unverified."""
    chain: list[bytes] = []
    for version in range(first, first + MAXIMUM_CHAIN):
        raw = fetch(f"{site}/root/{version}.json")
        if raw is None:
            break
        chain.append(raw)
    return chain
