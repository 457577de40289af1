"""A scheduler's state directory with as many work units as asked, as years of campaigns leave it.

The tables are the scheduler's own, made by its own migrations; only the rows come in bulk. Half of
the units belong to one campaign that still runs, the others to campaigns that have ended.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from scheduler.database import open_database
from scheduler.meters import Meters
from scheduler.state import Configuration, State
from trust.clock import Clock
from trust.documents import signed
from trust.documents.root import Duty, DutyKeys, Root
from trust.entropy import Entropy
from trust.ids import AttemptId, CampaignId, Digest, UnitId
from trust.keys import PrivateKey
from trust.log.note import LogKey

TERRITORY = "bench.example"
ENDED = 100  # campaigns beside the one that runs
WORKERS = 25  # so that a thousand units have as many rounds as a campaign's page shows
CAPSULES = 80  # with a live grant, on each worker
LATE = 7  # units of the newest round whose worker fell silent
FAILED_EVERY = 100  # units
APART = timedelta(minutes=10)  # between two rounds
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_HASTE = ("synchronous=OFF", "journal_mode=WAL", "foreign_keys=OFF", "cache_size=-262144")


@dataclass(frozen=True)
class Filled:
    """What was put in, and what a reader would ask for."""

    state: State
    running: str  # the large campaign
    unit: str  # one from its middle
    middle: int  # the round that it belongs to


def found(folder: Path, clock: Clock, entropy: Entropy, *, http_port: int = 0) -> State:
    """An empty territory without witnesses, whose scheduler can start; ports 0 are any free one."""
    state = State(folder)
    site = f"http://127.0.0.1:{http_port or 1}"
    state.create(Configuration(TERRITORY, ["127.0.0.1"], 0, 0, http_port, site), clock, entropy)
    root = PrivateKey.generate(entropy)
    now = clock.now().replace(microsecond=0)
    others = {
        duty: DutyKeys((PrivateKey.generate(entropy).public,), 1)
        for duty in (Duty.COLLEGE, Duty.STATUS)
    }
    document = Root(
        territory=TERRITORY,
        version=1,
        issued_at=now,
        expires_at=now + timedelta(days=30),
        duties={
            **others,
            Duty.ROOT: DutyKeys((root.public,), 1),
            Duty.ORDERS: DutyKeys((state.orders_key().public,), 1),
        },
        authority=(folder / "authority.der").read_bytes(),
        log_policy=f"log {LogKey(state.origin, state.log_key().public)}\nquorum none\n",
        status_url="http://127.0.0.1:9/status.json",
    )
    state.install_root(signed.sign(document, [root]).envelope.raw, clock)
    return state


def fill(folder: Path, units: int, clock: Clock, entropy: Entropy) -> Filled:
    """A state directory with about `units` work units, an attempt for each."""
    state = found(folder, clock, entropy)
    open_database(state, clock, Meters()).close()
    rows = _Rows(clock.now(), entropy)
    with closing(sqlite3.connect(state.database)) as connection:
        for pragma in _HASTE:
            connection.execute(f"PRAGMA {pragma}")
        with connection:
            rows.members(connection)
            each = max(1, units // 2 // ENDED)
            for number in range(ENDED):
                rows.campaign(connection, each, age=number + 1)
            running, unit, middle = rows.campaign(connection, units // 2, age=0)
            rows.sampled(connection)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA optimize")
    return Filled(state, running, unit, middle)


class _Rows:
    """Rows as the scheduler writes them; `now` is the moment that they end at."""

    def __init__(self, now: datetime, entropy: Entropy) -> None:
        self._now, self._draw = now, entropy
        self._workers = [f"wrk_{number:026d}" for number in range(WORKERS)]
        self._position = 0

    def members(self, to: sqlite3.Connection) -> None:
        """Workers with capsules, and the bundle that was voted."""
        late = _moment(self._now - timedelta(hours=1))
        now = _moment(self._now)
        for number, name in enumerate(self._workers):
            seen = late if number < LATE else now
            _insert(to, "member", name=name, role="worker", key=name, hpke=b"", operator="ville",
                    site=f"lieu {number}", concludes=False, enrolled_at=late)  # fmt: skip
            _insert(to, "worker", name=name, last_seen=seen, sequence=1, slots=4, level="L3",
                    libraries="numpy", images="", contributes=True, concludes=False,
                    draining=False, quota_daily=10_000, quota_used=0, quota_day=0)  # fmt: skip
            for count in range(CAPSULES):
                capsule = f"cap_{number}_{count}"
                _insert(to, "capsule", id=capsule, owner=capsule)
                _insert(to, "consent", capsule=capsule, target="purpose:mobility", worker=name,
                        serial=1, decision="grant", tables="trips", delivered=True, delivering=0,
                        expires_at=_moment(self._now + timedelta(days=5)), received_at=late,
                        digest=f"sha256:{capsule}")  # fmt: skip
        _insert(to, "bundle", digest="sha256:bundle", statement="sha256:statement", name="trajets",
                manifest="sha256:manifest", version="1", author="key",
                submitted_at=late)  # fmt: skip
        _insert(to, "authorisation", id="auth_bench", bundle="sha256:bundle", digest="sha256:auth",
                title="Trajets", purpose="mobility", campaigns=1000, not_before=late,
                not_after=now, received_at=late)  # fmt: skip

    def campaign(self, to: sqlite3.Connection, units: int, *, age: int) -> tuple[str, str, int]:
        """One campaign of `units` units; the one of age 0 still runs. Id, a unit, its round."""
        name = str(CampaignId.draw(self._draw))
        wide = min(WORKERS, units)
        rounds = max(1, units // wide)
        began = self._now - timedelta(days=age) - rounds * APART
        moving = age == 0
        _insert(to, "campaign", id=name, bundle="sha256:bundle", authorisation="auth_bench",
                parameters="sha256:parameters", started_by="ines", request=f"request {age}",
                state="running" if moving else "released", reason="", why="", rounds=rounds,
                rho="0.5", created_at=_moment(began), plan_before=_moment(self._now),
                updated_at=_moment(self._now - timedelta(days=age)), updated_by="fill",
                waits_since=_moment(began),
                release=None if moving else f"sha256:release{age}")  # fmt: skip
        middle, unit, ended = (rounds + 1) // 2, "", Counter[int]()
        for number in range(1, rounds + 1):
            newest = moving and number == rounds
            issued = began + number * APART
            self._round(to, name, number, issued, newest=newest)
            ids = [str(UnitId.draw(self._draw)) for _ in range(wide)]
            to.executemany(_UNITS, self._units(name, number, ids, issued, newest=newest))
            to.executemany(_ATTEMPTS, self._attempts(ids, issued, newest=newest))
            if number == middle:
                unit = ids[0]
            if not newest:
                ended[(issued + APART / 2 - _EPOCH).days] += wide
        for day, count in ended.items():
            _insert(to, "effort", campaign=name, day=day, attempts=count, answered=count,
                    busy=count * (APART // 2 // timedelta(milliseconds=1)))  # fmt: skip
        return name, unit, middle

    def sampled(self, to: sqlite3.Connection) -> None:
        """The queue at the end: what ended before is counted in the days of `campaign`."""
        _insert(to, "sample", at=_moment(self._now), waiting=0, ready=0, leased=WORKERS,
                accepted=0, failed=0)  # fmt: skip

    def _round(
        self, to: sqlite3.Connection, name: str, number: int, issued: datetime, *, newest: bool
    ) -> None:
        plan = str(Digest.of(f"{name}/{number}".encode()))
        _insert(to, "round", campaign=name, number=number, state="open" if newest else "opened",
                plan=plan, parameters="sha256:parameters", target=WORKERS, told='{"loss": 0.5}',
                issued_at=_moment(issued), deadline=_moment(issued + APART), reason="", why="",
                waits_since=_moment(issued),
                capsules=WORKERS * CAPSULES, contributors=0, batch=None if newest else "sha256:b",
                opening=None if newest else f"sha256:{name}/{number}")  # fmt: skip
        _insert(to, "log_entry", kind="plan", digest=plan, campaign=name, position=self._position,
                proof="c2sp.org/tlog-proof@v1\n" + "x" * 600,
                created_at=_moment(issued))  # fmt: skip
        self._position += 1

    def _units(
        self, name: str, number: int, ids: list[str], issued: datetime, *, newest: bool
    ) -> Iterator[tuple[object, ...]]:
        end, change = _moment(issued + APART), _moment(issued + APART / 2)
        if newest:
            end = _moment(self._now + APART)
        for place, unit in enumerate(ids):
            failed = not newest and (number * WORKERS + place) % FAILED_EVERY == 0
            state = "leased" if newest else "failed" if failed else "satisfied"
            why = "the worker did not answer in time" if failed else ""
            yield (
                *(unit, name, number, self._workers[place], state),
                *("attempts-exhausted" if failed else "", why, end, change),
            )

    def _attempts(
        self, ids: list[str], issued: datetime, *, newest: bool
    ) -> Iterator[tuple[object, ...]]:
        begun, ended = _moment(issued), _moment(issued + APART / 2)
        state, end = ("leased", None) if newest else ("accepted", ended)
        for place, unit in enumerate(ids):
            attempt = str(AttemptId.draw(self._draw))
            statement = None if newest else "sha256:statement"
            yield (
                *(attempt, unit, self._workers[place], state, begun),
                *(_moment(issued + APART), end, statement),
            )


_UNITS = """
    INSERT INTO unit (id, campaign, round, worker, state, reason, why, deadline, updated_at, kind,
                      capsules, maximum_attempts, lease_seconds, needs, done, updated_by)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'contribute', 40, 5, 900, 'sha256:plan', 40, 'fill')
"""
_ATTEMPTS = """
    INSERT INTO attempt (id, unit, worker, state, leased_at, expires_at, ended_at, statement,
                         number, token, reason, why, capsules, contributors)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, 'token', '', '', 40, 40)
"""


def _insert(to: sqlite3.Connection, table: str, **values: object) -> None:
    """One row; names of tables and columns are this module's own."""
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    to.execute(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', tuple(values.values()))  # noqa: S608


def _moment(when: datetime) -> int:
    """As `scheduler.store.types.Moment` keeps it."""
    return (when - _EPOCH) // timedelta(microseconds=1)
