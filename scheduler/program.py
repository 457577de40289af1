"""Wiring: the only place that reads the state directory and builds the scheduler's objects."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography import x509

from durable.blobs import BlobFolder
from durable.files import make_directory
from durable.hygiene import harden
from scheduler import gauges, logs
from scheduler.clockwork import make_clockwork
from scheduler.database import alone, open_database
from scheduler.helper import Helper, HttpHelper, NoHelper
from scheduler.judging import Judging, load
from scheduler.keyholder import HttpKeyholder, Keyholder, NoKeyholder
from scheduler.log.cosigners import HttpCosigner
from scheduler.log.writer import LogWriter
from scheduler.meters import Meters
from scheduler.readiness import trouble
from scheduler.rpc.servers import Services, enrolment_server, work_server
from scheduler.service import outbox
from scheduler.service.bell import Bell
from scheduler.service.desk import Desk, Limits
from scheduler.service.exclusion import DenyList
from scheduler.service.pace import keep_pace
from scheduler.service.standing import Standing
from scheduler.service.transfers import Transfers
from scheduler.site import Site, SiteServer
from scheduler.state import State
from scheduler.views.voted import Documents
from scheduler.views.watching import Watch
from trust import certificates
from trust.certificates import Role
from trust.clock import Clock, SystemClock
from trust.entropy import SYSTEM
from trust.log.policy import Policy

_LOG = logging.getLogger("cadastre.scheduler")
# A clean stop answers open polls and lets calls finish, within a second.
GRACE_SECONDS = 0.5
# Members come from the whole city network; what they may do is decided by certificates.
_EVERYWHERE = "0.0.0.0"  # noqa: S104


class ServerIdentity:
    """The server's own TLS pair, renewed at half of its life; asked at every connection."""

    def __init__(self, desk: Desk, hosts: list[str]) -> None:
        self._desk = desk
        self._hosts = hosts
        self._pair, self._certificate = self._issue()

    def __call__(self) -> tuple[bytes, bytes]:
        return self._pair

    def renew(self) -> None:
        """Replace the pair when it is due."""
        if self._desk.now() >= certificates.renew_after(self._certificate):
            self._pair, self._certificate = self._issue()
            _LOG.info("the server's certificate was renewed")

    def _issue(self) -> tuple[tuple[bytes, bytes], x509.Certificate]:
        key = certificates.new_key()
        leaf = certificates.issue(
            self._desk.authority.key,
            self._desk.authority.certificate,
            certificates.make_request(key, "scheduler"),
            territory=self._desk.territory,
            role=Role.SCHEDULER,
            name="scheduler",
            now=self._desk.now(),
            hosts=self._hosts,
        )
        return (certificates.key_to_pem(key), certificates.to_pem(leaf)), leaf


# An answer passes from the event loop to the store's thread and back several times. Python lets a
# busy thread run 5 ms before another one's turn, which would be most of what an exchange takes.
SWITCH_SECONDS = 0.0005
# What was loaded at the start lives as long as the program: the collector of cycles does not walk
# through it again and again, and comes less often than after every 700 new objects.
COLLECT_AFTER = 20_000


async def serve(
    state: State,
    limits: Limits | None = None,
    helper: str = "",
    keyholder: str = "",
    *,
    opener: Opener | None = None,
    judging: Path | None = None,
) -> None:
    """Run until SIGTERM or SIGINT. Raises before it listens when anything is not in order.

    `helper` and `keyholder` are the addresses of those two, "" where there is none; `opener`
    makes the pages, None for none; `judging` is the file about thresholds and factors.
    """
    judged = load(judging) if judging else Judging()
    harden()  # it holds the keys of orders, log and authority, and every worker's report
    sys.setswitchinterval(SWITCH_SECONDS)
    clock = SystemClock()
    logs.set_up(clock)
    others = Others(
        HttpHelper(helper) if helper else NoHelper(),
        HttpKeyholder(keyholder) if keyholder else NoKeyholder(),
    )
    with alone(state):
        await _serve(state, clock, limits or Limits(), others, Views(judged, opener))


class Pages(Protocol):
    """The pages of a running scheduler, as `scheduler.web` makes them."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def sweep(self) -> int: ...


Opener = Callable[[Desk, LogWriter, Judging, Watch], Pages]


@dataclass(frozen=True)
class Views:
    """Who looks at the grid, and by what it is judged."""

    judged: Judging
    opener: Opener | None


@dataclass(frozen=True)
class Others:
    """The institutions that the scheduler asks."""

    helper: Helper
    keyholder: Keyholder


async def _serve(state: State, clock: Clock, limits: Limits, others: Others, views: Views) -> None:
    configuration = state.configuration()
    trusted = state.trusted_root()
    trusted.require_current(clock.now())
    policy = Policy.parse(trusted.document.log_policy.encode())
    cosigners = [
        HttpCosigner(witness.key, witness.url)
        for witness in policy.witnesses.values()
        if witness.url
    ]
    meters = Meters()
    store = open_database(state, clock, meters)
    log = LogWriter.open(state.log, state.log_key(), state.origin, clock, cosigners)
    make_directory(state.objects, 0o700)
    desk = Desk(
        store=store,
        blobs=BlobFolder(state.objects),
        log=log,
        entropy=SYSTEM,
        orders=state.orders_key(),
        authority=state.authority(),
        root=trusted,
        meters=meters,
        bell=Bell(),
        work_address=configuration.work_address,
        limits=limits,
        helper=others.helper,
        keyholder=others.keyholder,
    )
    try:
        await _run(state, desk, log, views)
    finally:
        store.close()
        log.close()


async def log_roots(desk: Desk, roots: Sequence[bytes]) -> None:
    """Queue the roots for the log, whose first entry is the first; again changes nothing."""
    for raw in roots:
        await desk.run(
            "log-root",
            lambda tx, raw=raw: outbox.publish_root(tx, desk, raw),  # type: ignore[misc]
        )


async def _run(state: State, desk: Desk, log: LogWriter, views: Views) -> None:
    configuration = state.configuration()
    outbox.require_one_moment(desk.store, log)
    roots = state.roots()
    await log_roots(desk, roots)
    await outbox.keep_head(desk)
    standing = Standing(desk)
    transfers = Transfers(desk, state.staging)
    # Before a port is bound: what takes a second would leave callers before a server that does not
    # answer yet.
    watch = Watch(desk, Documents(desk), log.waiting, views.judged.alerts)
    pages = views.opener(desk, log, views.judged, watch) if views.opener else None
    identity = ServerIdentity(desk, configuration.hosts)
    services = Services(desk, standing, transfers, DenyList(desk), roots)
    authority_pem = certificates.to_pem(desk.authority.certificate)
    work, _ = work_server(services, identity, authority_pem, _listen(configuration.work_port))
    enrolment, _ = enrolment_server(desk, identity, _listen(configuration.enrol_port))
    site = SiteServer(
        Site(desk, roots, lambda: trouble(desk, log, state.folder)),
        _EVERYWHERE,
        configuration.http_port,
    )
    gauges.install(desk, log, state.folder, state.database, watch)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    clockwork = make_clockwork(
        desk,
        standing,
        transfers,
        services.deny,
        identity.renew,
        sign_out=pages.sweep if pages else None,
    )
    await work.start()
    await enrolment.start()
    site.start()
    if pages:
        pages.start()
    clockwork.start()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    pace = asyncio.create_task(keep_pace(desk))
    _LOG.info("serving", extra={"territory": desk.territory, "work": configuration.work_address})
    try:
        await stop.wait()
    finally:
        desk.bell.close()
        clockwork.shutdown(wait=False)
        await asyncio.gather(work.stop(GRACE_SECONDS), enrolment.stop(GRACE_SECONDS))
        await pace
        await asyncio.to_thread(site.stop)
        if pages:
            await asyncio.to_thread(pages.stop)
        _LOG.info("stopped")


def _listen(port: int) -> str:
    return f"{_EVERYWHERE}:{port}"
