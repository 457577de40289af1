"""What every opener asks of a campaign, its plan and its batch before it takes part."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from governance.batches.errors import (
    AlreadyOpened,
    BatchExpired,
    EpochElsewhere,
    HistoryUnreadable,
    NotAuthorised,
    PlanMismatch,
)
from governance.batches.history import History, Included
from jobs import archive
from trust import schema
from trust.documents.aggregation import (
    AcceptList,
    AggregateShare,
    BatchCommitment,
    KeyDestroyed,
    Side,
)
from trust.documents.campaign import Plan
from trust.documents.custody import EpochKey, EpochRetired
from trust.documents.governance import Authorisation
from trust.documents.root import Duty
from trust.documents.rules import Protection
from trust.documents.signed import Signed
from trust.dsse import Envelope
from trust.errors import TrustError
from trust.ids import AuthorisationId, CampaignId, Digest
from trust.log.entry import Kind
from trust.root import TrustedRoot
from wire.aggregation import LoggedDocument

# Consents are counted when a round is prepared, and whoever withdraws one later is in its batch:
# so the batch must follow. The scheduler gives a round up a week past its deadline where it waits
# for people, a day where it waits for a helper; nothing of an honest leader's comes later.
PREPARED_LIFE = timedelta(days=7)


def require_vote(
    root: TrustedRoot,
    history: History,
    exhibit: LoggedDocument,
    *,
    asked: tuple[AuthorisationId, Digest],
    protections: frozenset[Protection],
) -> tuple[Authorisation, Included]:
    """The college's logged vote for `asked` (authorisation, bundle) under one of `protections`.

    Its window and suspensions are for the caller. Raises NotAuthorised, NotLogged.
    """
    try:
        vote = root.verify(Authorisation, exhibit.envelope, Duty.COLLEGE).document
    except TrustError as error:
        raise NotAuthorised(f"the authorisation does not verify: {error.sentence}") from error
    included = history.require(Kind.AUTHORISATION, exhibit.envelope, exhibit.proof)
    if (vote.id, vote.bundle, vote.territory) != (*asked, root.document.territory):
        raise NotAuthorised("the college authorised something else")
    if {rule.protection for rule in vote.rules} - protections or not vote.rules:
        names = " or ".join(sorted(protections))
        raise NotAuthorised(f"the vote is not for `{names}`: this process has no part in it")
    return vote, included


def require_open(vote: Authorisation, moment: datetime, what: str) -> None:
    """Raise NotAuthorised when `moment` is outside the vote's window."""
    if not vote.not_before <= moment < vote.not_after:
        raise NotAuthorised(f"{what} is outside the authorisation's window")


def rounds_of(vote: Authorisation, bundle: Callable[[Digest], bytes | None]) -> int:
    """Over how many rounds the voted bundle splits its price. Raises HistoryUnreadable."""
    raw = bundle(vote.bundle)
    if raw is None or Digest.of(raw) != vote.bundle:
        raise HistoryUnreadable("the voted bundle cannot be read from the log's site")
    return archive.read(raw, vote.bundle).manifest.rounds.maximum


def require_plan(plan: Plan, vote: Authorisation, rounds: int | None = None) -> None:
    """Raise PlanMismatch or NotAuthorised unless the plan is one of this vote's.

    `rounds` is how many the bundle has, where it was read.
    """
    pairs = (
        ("territory", plan.territory, vote.territory),
        ("bundle", plan.bundle, vote.bundle),
        ("authorisation", plan.authorisation, vote.id),
    )
    for name, planned, expected in pairs:
        if planned != expected:
            raise PlanMismatch(f"the plan is for another {name}")
    if not 1 <= plan.round <= (rounds or plan.round):
        raise PlanMismatch(f"round {plan.round} of at most {rounds}")
    require_open(vote, plan.issued_at, "the round's plan")


def require_key(history: History, kind: Kind, exhibit: LoggedDocument) -> tuple[Included, int]:
    """Where a campaign's key is shown to stand in the log, and where it stands first.

    Batches are counted from the first place on: a leader that logs the key again, behind a
    batch, would else hide that batch. Raises NotLogged, HistoryUnreadable.
    """
    included = history.require(kind, exhibit.envelope, exhibit.proof)
    first = history.first(kind, exhibit.envelope, included.checkpoint)
    return included, included.index if first is None else first


def gone_by_the_log(history: History, kind: Kind, certificate: bytes) -> bool:
    """Whether the published log holds the notice that a campaign's key was destroyed.

    `kind` is the key's, `certificate` its envelope. A program that was restored from a backup
    has such a key again. Raises HistoryUnreadable, NotLogged.
    """
    upto = history.published()
    since = history.first(kind, certificate, upto)
    if since is None:
        return False  # no plan names it yet
    wanted = Digest.of(certificate)
    # Whoever signed: only the leader writes into its log, and it may end a campaign anyway.
    return any(
        _key_that_went(notice, raw) == wanted
        for notice in (Kind.KEY_DESTROYED, Kind.EPOCH_RETIRED)
        for _, raw in history.logged(notice, upto, since)
    )


def _key_that_went(notice: Kind, raw: bytes) -> Digest | None:
    try:
        payload = Envelope.parse(raw).payload
        if notice is Kind.KEY_DESTROYED:
            return schema.decode(KeyDestroyed, payload).helper
        return schema.decode(EpochRetired, payload).epoch
    except TrustError:
        return None


def require_no_other_epoch(history: History, campaign: CampaignId) -> None:
    """Raise EpochElsewhere when the published log holds a key epoch of `campaign`.

    Asked before a ceremony: one campaign has one epoch, also where the keyholder's folder was
    restored from before it. Raises HistoryUnreadable, NotLogged.
    """
    for _, raw in history.logged(Kind.EPOCH_KEY, history.published(), 0):
        try:
            made = schema.decode(EpochKey, Envelope.parse(raw).payload)
        except TrustError:
            continue  # no key at all
        if made.campaign == campaign:
            raise EpochElsewhere(
                "the log holds a key epoch of this campaign that this folder does not know",
                remedy="serve the folder in which its ceremony was held; if that is lost, start "
                "another campaign",
            )


def require_timely(accept: bytes, now: datetime) -> None:
    """Raise BatchExpired when a batch comes too long after its round was prepared.

    `accept` is the envelope of one's own AcceptList.
    """
    counted = schema.decode(AcceptList, Envelope.parse(accept).payload).prepared_at
    if now > counted + PREPARED_LIFE:
        raise BatchExpired(
            f"the consents behind the batch were counted on {counted:%Y-%m-%d}, more than "
            f"{PREPARED_LIFE.days} days ago"
        )


def require_first(
    history: History,
    batch: Signed[BatchCommitment],
    exhibit: LoggedDocument,
    since: int,
) -> Included:
    """Raise AlreadyOpened when the log, from entry `since` on, holds an earlier other batch.

    Of this round, that is. Returns where the batch stands. Raises NotLogged, HistoryUnreadable.
    """
    document = batch.document
    included = history.require(Kind.BATCH, exhibit.envelope, exhibit.proof)
    for index, raw in history.logged(Kind.BATCH, included.checkpoint, since):
        if index >= included.index:
            break
        try:
            # Whoever signed: only the leader writes into its log, and an order key that the root
            # no longer names was the leader's when the batch was answered.
            other = schema.decode(BatchCommitment, Envelope.parse(raw).payload)
        except TrustError:
            continue  # no batch at all
        about = (other.campaign, other.round) == (document.campaign, document.round)
        if about and other.batch != document.batch:
            raise opened_already()
    return included


def require_first_sum(
    history: History,
    leader: Signed[AggregateShare],
    exhibit: LoggedDocument,
    since: int,
) -> None:
    """Raise AlreadyOpened when the log, from entry `since` on, holds an earlier other sum.

    Of this round and by the leader, that is: two sums of one batch are two questions. Raises
    NotLogged, HistoryUnreadable.
    """
    document = leader.document
    included = history.require(Kind.SHARE, exhibit.envelope, exhibit.proof)
    for index, raw in history.logged(Kind.SHARE, included.checkpoint, since):
        if index >= included.index:
            return
        try:
            other = schema.decode(AggregateShare, Envelope.parse(raw).payload)
        except TrustError:
            continue  # no share at all
        if other.side is not Side.LEADER:
            continue
        about = (other.campaign, other.round) == (document.campaign, document.round)
        if about and other.values != document.values:
            raise AlreadyOpened(
                "the log holds another sum of this round's batch before this one",
                remedy="a round is opened once, over the sum that was logged first",
            )


def opened_already() -> AlreadyOpened:
    """The refusal of every second batch."""
    return AlreadyOpened(
        "the round was opened with another batch",
        remedy="a round is opened once; plan another one within the budget",
    )
