"""From the agent's first message to a serving broker: state files, self-test, runtimes."""

from __future__ import annotations

import contextlib
import gc
import logging
import socket
from pathlib import Path

from capsule_runtime import encrypting
from capsule_runtime.broker import runtimes, unit
from capsule_runtime.broker.channel import Channel
from capsule_runtime.broker.errors import BrokerLost, MessageRefused
from capsule_runtime.broker.messages import Ready, Setup, plain
from capsule_runtime.broker.service import Broker, failed, parse_rounds, reconciled
from capsule_runtime.capsules.store import CapsuleStore
from capsule_runtime.consents import ConsentStore
from capsule_runtime.ledger import Ledger
from capsule_runtime.sandbox import selftest
from capsule_runtime.sandbox.zygote import Zygote
from jobs.libraries import BASE, LIBRARIES
from trust import clock, entropy
from trust.problem import Problem

_LOG = logging.getLogger("cadastre.broker")
COLLECT_AFTER = 5_000  # new objects


def start(end: socket.socket) -> None:
    """Serve the agent at the other end of `end` until it hangs up.

    A state file that is damaged or of another version is told to the agent, then raised:
    nothing is served over a ledger or a store that is not understood.
    """
    channel = Channel(end)
    try:
        _start(channel)
    except Problem as problem:
        with contextlib.suppress(BrokerLost):
            channel.send(failed(0, problem))
        raise


def _start(channel: Channel) -> None:
    setup, attachments = channel.receive()
    if not isinstance(setup, Setup) or len(attachments) != 1:
        raise MessageRefused("the first message is not a Setup with its rounds")
    state = Path(setup.state)
    now = clock.SystemClock()
    # Closed at the end, so that each file is whole without a write-ahead log beside it.
    with (
        contextlib.closing(CapsuleStore(state, now)) as store,
        contextlib.closing(ConsentStore(state)) as consents,
        contextlib.closing(Ledger(state, now)) as ledger,
    ):
        store.scrub()  # what an erasure left in the write-ahead log when it was interrupted
        runtime = unit.Runtime(
            store=store,
            consents=consents,
            ledger=ledger,
            worker=setup.worker,
            territory=setup.territory,
            clock=now,
            entropy=entropy.SYSTEM,
        )
        _serve(channel, setup, attachments[0], runtime)


def _serve(channel: Channel, setup: Setup, rounds: bytes, runtime: unit.Runtime) -> None:
    # Before anything may run: a ledger that was restored from a copy pays for what it forgot.
    checkpoint = reconciled(runtime, setup, parse_rounds(rounds))
    level = selftest.assess((BASE,))
    layouts = runtimes.find_layouts(setup.libraries)
    images = runtimes.measure(layouts, Path(setup.state))
    held = {name for layout in layouts.values() for name in layout.library_names}
    libraries = tuple(name for name in LIBRARIES if name in held)
    native = level.level >= selftest.Level.L2
    channel.send(
        Ready(
            level=level.level.name,
            reasons=tuple(plain(reason, 1000) for reason in level.reasons),
            image=images.pop(BASE),
            libraries=(*libraries, *encrypting.libraries()),
            capsules=len(runtime.store.hosted(setup.worker)),
            ledger_counter=checkpoint.counter,
            ledger_hash=checkpoint.hash,
            images=images,
        )
    )
    _LOG.info("broker ready at level %s", level.level.name)

    def start_zygote(name: str) -> Zygote:
        return Zygote.start(layout=layouts[name])

    # As the agent does: what was loaded stays, and is not looked through with every unit.
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    Broker(channel, runtime, start_zygote if native else None, libraries).serve()
