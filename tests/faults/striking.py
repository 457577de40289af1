"""Who dies: the victims of a kill by their short names."""

from __future__ import annotations

import random

from town import HOSTS, Town


def strike(place: Town, victim: str, draw: random.Random) -> str:
    """Kill one; what died."""
    hosts, mortals = place.workers[:HOSTS], place.mortals
    host = draw.choice(hosts)
    if victim == "group":
        mortals.kill(host)
    elif victim == "agent":
        mortals.kill_alone(host)
    elif victim == "broker":
        if not mortals.kill_broker(host):
            mortals.kill(host)  # between two brokers: then the whole machine
    elif victim == "conclude":
        host = place.workers[-1]
        mortals.kill(host)
    else:
        host = victim
        mortals.kill(victim)
    return host
