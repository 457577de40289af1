"""What the log says once every signature in it was checked: documents in log order."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

from audit.errors import AuditFailure
from trust.documents.actions import OperatorAction
from trust.documents.aggregation import AggregateShare, BatchCommitment, HelperKey
from trust.documents.campaign import Commitment, Opening, Plan, Release
from trust.documents.governance import Authorisation, Suspension
from trust.documents.membership import Banned, Enrolled
from trust.documents.signed import Document, Signed
from trust.ids import AuthorisationId, CampaignId, Digest, WorkerId
from trust.keys import PublicKey
from trust.root import TrustedRoot

D = TypeVar("D", bound=Document)

# When the scheduler says that it made each of its documents.
_DATES: dict[type[Any], str] = {
    Plan: "issued_at",
    Opening: "opened_at",
    Release: "released_at",
    Commitment: "committed_at",
    BatchCommitment: "committed_at",
    Enrolled: "enrolled_at",
    Banned: "banned_at",
    OperatorAction: "acted_at",
}


@dataclass(frozen=True)
class Logged(Generic[D]):
    """A verified document and its place in the log."""

    index: int
    signed: Signed[D]

    @property
    def document(self) -> D:
        """The document itself."""
        return self.signed.document

    @property
    def digest(self) -> Digest:
        """The digest of its envelope."""
        return self.signed.digest


@dataclass
class Records:
    """Every logged document, each kind in log order."""

    roots: list[tuple[int, TrustedRoot]] = field(default_factory=list)
    _by_type: dict[type[Any], list[Logged[Any]]] = field(default_factory=lambda: defaultdict(list))
    _by_digest: dict[Digest, Logged[Any]] = field(default_factory=dict)
    _batches: dict[tuple[CampaignId, int], Logged[BatchCommitment]] = field(default_factory=dict)
    _votes: dict[AuthorisationId, Logged[Authorisation]] = field(default_factory=dict)
    _opened: dict[Digest, Logged[Opening]] = field(default_factory=dict)
    _openings: dict[CampaignId, list[Logged[Opening]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _enrolled: dict[WorkerId, list[Logged[Enrolled]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    _banned: dict[WorkerId, Logged[Banned]] = field(default_factory=dict)
    # The scheduler's latest date so far, from each place on where it grew.
    _latest: list[tuple[int, datetime]] = field(default_factory=list)

    def add(self, logged: Logged[Any]) -> None:
        """Take the next document of the log.

        Raises AuditFailure for a worker that is enrolled after its exclusion, or excluded
        without having been enrolled.
        """
        document = logged.document
        name = _DATES.get(type(document))
        if name is not None:
            moment: datetime = getattr(document, name)
            if not self._latest or moment > self._latest[-1][1]:
                self._latest.append((logged.index, moment))
        self._by_type[type(document)].append(logged)
        self._by_digest[logged.digest] = logged
        match document:
            case Authorisation():
                # The first of an id stands; that there is no second one is a check of its own.
                self._votes.setdefault(document.id, logged)
            case BatchCommitment():
                # The first of a round stands; that there is no second one is a check of its own.
                self._batches.setdefault((document.campaign, document.round), logged)
            case Opening():
                self._opened.setdefault(document.plan, logged)
                self._openings[document.campaign].append(logged)
            case Enrolled():
                self.require_member(document.worker, logged.index)
                self._enrolled[document.worker].append(logged)
            case Banned():
                self.enrolment(document.worker, logged.index)
                self._banned.setdefault(document.worker, logged)
            case _:
                pass

    def all(self, cls: type[D]) -> list[Logged[D]]:
        """Every logged document of one type."""
        return cast("list[Logged[D]]", self._by_type[cls])

    def find(self, cls: type[D], digest: Digest, what: str) -> Logged[D]:
        """The logged document whose envelope has this digest. Raises AuditFailure."""
        logged = self._by_digest.get(digest)
        if logged is None or not isinstance(logged.document, cls):
            raise AuditFailure(f"{what} {digest} is not in the log")
        return cast("Logged[D]", logged)

    @property
    def authorisations(self) -> list[Logged[Authorisation]]:
        """The college's decisions."""
        return self.all(Authorisation)

    @property
    def suspensions(self) -> list[Logged[Suspension]]:
        """The college's stops."""
        return self.all(Suspension)

    @property
    def plans(self) -> list[Logged[Plan]]:
        """Planned rounds."""
        return self.all(Plan)

    @property
    def openings(self) -> list[Logged[Opening]]:
        """Opened rounds."""
        return self.all(Opening)

    @property
    def releases(self) -> list[Logged[Release]]:
        """Published results."""
        return self.all(Release)

    @property
    def helper_keys(self) -> list[Logged[HelperKey]]:
        """The helper's keys, one per campaign."""
        return self.all(HelperKey)

    @property
    def batches(self) -> list[Logged[BatchCommitment]]:
        """What the leader committed to before the helper answered."""
        return self.all(BatchCommitment)

    @property
    def shares(self) -> list[Logged[AggregateShare]]:
        """Both aggregators' noised sums."""
        return self.all(AggregateShare)

    @property
    def commitments(self) -> list[Logged[Commitment]]:
        """Padded roots over restricted documents."""
        return self.all(Commitment)

    @property
    def actions(self) -> list[Logged[OperatorAction]]:
        """What operators did by hand."""
        return self.all(OperatorAction)

    @property
    def exclusions(self) -> list[Logged[Banned]]:
        """Workers that were excluded."""
        return self.all(Banned)

    def dated_before(self, index: int) -> datetime | None:
        """The latest date of the scheduler's documents before a place of the log."""
        place = bisect_left(self._latest, index, key=lambda entry: entry[0])
        return self._latest[place - 1][1] if place else None

    def root_at(self, index: int) -> TrustedRoot:
        """The root in force at a place of the log."""
        for place, root in reversed(self.roots):
            if place <= index:
                return root
        raise AuditFailure(f"no territory root is in force at entry {index}")

    def authorisation(self, identifier: AuthorisationId) -> Logged[Authorisation]:
        """The authorisation of this id. Raises AuditFailure."""
        if identifier not in self._votes:
            raise AuditFailure(f"authorisation {identifier} is not in the log")
        return self._votes[identifier]

    def plan(self, digest: Digest) -> Logged[Plan]:
        """The plan whose envelope has this digest. Raises AuditFailure."""
        return self.find(Plan, digest, "plan")

    def voted(self, plan: Plan) -> Authorisation:
        """What the college voted for a plan. Raises AuditFailure."""
        return self.authorisation(plan.authorisation).document

    def batch_of(self, campaign: CampaignId, number: int) -> Logged[BatchCommitment]:
        """The first batch committed for a round. Raises AuditFailure."""
        logged = self._batches.get((campaign, number))
        if logged is None:
            raise AuditFailure(f"no batch was committed for round {number} of {campaign}")
        return logged

    def opening_of(self, plan: Digest) -> Logged[Opening] | None:
        """The opening of a planned round, if it was opened."""
        return self._opened.get(plan)

    def openings_of(self, campaign: CampaignId) -> list[Logged[Opening]]:
        """A campaign's openings in log order."""
        return self._openings.get(campaign, [])

    def enrolment(self, worker: WorkerId, before: int) -> Enrolled:
        """A worker's last enrolment logged before a place. Raises AuditFailure."""
        for logged in reversed(self._enrolled.get(worker, [])):
            if logged.index < before:
                return logged.document
        raise AuditFailure(f"worker {worker} was not enrolled before entry {before} of the log")

    def key(self, worker: WorkerId, before: int) -> PublicKey:
        """An enrolled worker's key. Raises AuditFailure."""
        return self.enrolment(worker, before).key

    def require_member(self, worker: WorkerId, before: int) -> None:
        """Raise AuditFailure for a worker that was excluded before a place of the log."""
        ban = self._banned.get(worker)
        if ban is not None and ban.index < before:
            raise AuditFailure(f"{worker} was excluded in entry {ban.index} of the log")

    def excluded_at(self, worker: WorkerId) -> datetime | None:
        """When a worker was excluded, if it was."""
        ban = self._banned.get(worker)
        return None if ban is None else ban.document.banned_at

    def acts(
        self,
    ) -> Iterator[tuple[str, Logged[Plan] | Logged[Opening] | Logged[Release], AuthorisationId]]:
        """Everything that was done on an authorisation: what, the document, which one."""
        for plan in self.plans:
            yield "plan", plan, plan.document.authorisation
        for opening in self.openings:
            yield "opening", opening, self.plan(opening.document.plan).document.authorisation
        for release in self.releases:
            yield "release", release, release.document.authorisation
