"""How many attempts to sign in are answered: from one network, and from all together.

Tokens and keys have 256 random bits, so nobody guesses one; this bounds what strangers can make
the machine do. Nobody's account is ever locked: who waits a minute may try again. The memory is
bounded, and each program counts for itself.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

from trust.clock import Clock
from web.signin.errors import TooManyTries

# One network: twenty at once, then one each six seconds. A whole office may share an address.
EACH_BURST, EACH_SECONDS = 20, 6.0
# All: two hundred at once, then ten each second. At ten minutes a way to the issuer this stays
# below the ways that are remembered, so that a flood pushes nobody's out.
ALL_BURST, ALL_SECONDS = 200, 0.1
NETWORKS = 4096  # of which something is remembered; beyond, the one unseen for longest is let go
_IPV6_NETWORK = 64  # bits that one subscriber has at least


class Pace:
    """Counts attempts; safe for threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._each: OrderedDict[str, _Bucket] = OrderedDict()
        self._all = _Bucket(ALL_BURST, clock.boottime())

    def take(self, host: str) -> None:
        """Count one attempt from `host`, an address as the server saw it. Raises TooManyTries."""
        name = network(host)
        with self._lock:
            now = self._clock.boottime()
            own = self._each.pop(name, None) or _Bucket(EACH_BURST, now)
            self._each[name] = own
            if len(self._each) > NETWORKS:
                self._each.popitem(last=False)
            # Its own first: whoever is refused for himself takes nothing from the others.
            if not own.take(now, EACH_BURST, EACH_SECONDS):
                raise TooManyTries
            if not self._all.take(now, ALL_BURST, ALL_SECONDS):
                raise TooManyTries

    def give_back(self, host: str, attempts: int = 1) -> None:
        """The last `attempts` from `host` were good ones: they do not count, for nobody."""
        with self._lock:
            if own := self._each.get(network(host)):
                own.left = min(EACH_BURST, own.left + attempts)
            self._all.left = min(ALL_BURST, self._all.left + attempts)


class _Bucket:
    """What may still be taken, filled up again as time goes by."""

    def __init__(self, left: float, at: float) -> None:
        self.left = left
        self.at = at

    def take(self, now: float, burst: int, seconds: float) -> bool:
        self.left = min(burst, self.left + (now - self.at) / seconds)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


def network(host: str) -> str:
    """What one subscriber cannot change at will: an IPv4 address, the first half of an IPv6 one."""
    try:
        address = ip_address(host)
    except ValueError:
        return "unknown"
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return f"{int(address) >> (128 - _IPV6_NETWORK):x}"
