"""The audit itself: evidence and an optional policy in, a journal out. No output, no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial as bind

from audit.checks import (
    actions,
    bundles,
    commitments,
    conclusions,
    consents,
    decryptions,
    documents,
    epochs,
    helpers,
    layout,
    log,
    objects,
    openings,
    orders,
    partials,
    plans,
    releases,
    roots,
    shares,
)
from audit.checks.objects import Objects
from audit.evidence import Evidence
from audit.journal import Halted, Journal
from audit.policy import AuditPolicy
from audit.records import Records
from jobs.archive import Bundle
from trust.ids import Digest

ALWAYS_OPEN = (
    "that contributors exist: a worker counts the people behind its capsules alone",
    "that a remote sandbox truly ran the voted image: without attested hardware that is a claim",
    "that noise was drawn honestly: its variance is stated and signed, its values are random",
    "that `conclude` computed the released numbers: that takes the sandbox, ask a worker to re-run",
    "that nothing was logged after the checkpoint: compare its witnesses' dates with today's",
)
WITH_SHARES = (
    "that leader and helper each added their shares and drew their noise honestly: either alone "
    "may falsify a `shared` sum, only both together can see more of it than is released"
)
SINGLE_SHARES = "the single shares behind a `shared` sum: they stay with the leader, on purpose"
WITH_KEYHOLDER = (
    "that the keyholder showed an `encrypted` batch's raw sum to nobody, and that the trustees' "
    "machines are apart: files show who signed, not what stood in a memory or where"
)
SINGLE_CIPHERTEXTS = (
    "the ciphertexts and both raw sums behind an `encrypted` aggregate: whoever had them and the "
    "key would see more than the release, so they stay with leader, helper and keyholder"
)
WITHOUT_RESTRICTED = (
    "without the restricted part: orders and their receipts, partials and their workers, the sum "
    "behind each aggregate, cohorts per worker and per operator, which consents were committed"
)
WITHOUT_CONCLUSIONS = "without the conclusions: that reports are what concluding workers signed"
WITHOUT_RECEIPTS = (
    "that what workers were told was accepted is what was opened: no committed batch of orders "
    "bears an acknowledgement, compare with the receipts that workers keep"
)
WITH_ACTIONS = (
    "that the operators named in actions did them, or did no others: the scheduler signs what it "
    "says was asked of it, an operator's browser has no key; ask for the reasons behind the seals"
)
WITHOUT_PIN = (
    "that this is your territory's root: nothing pinned it; compare the fingerprint above with "
    "the cooperative's paper copy, or give --policy"
)


@dataclass
class Verdict:
    """How an audit ended."""

    journal: Journal
    pinned: bool
    root: Digest | None = None
    entries: int = 0

    @property
    def ok(self) -> bool:
        """Whether every check held."""
        return bool(self.journal.lines) and not self.journal.failed


def audit(evidence: Evidence, policy: AuditPolicy | None = None) -> Verdict:
    """Replay everything that can be replayed. Never raises for bad evidence: it is recorded."""
    verdict = Verdict(Journal(), pinned=policy is not None)
    try:
        _replay(evidence, policy, verdict)
    except Halted:
        verdict.journal.not_checked.append("everything after the failed check, which rests on it")
    verdict.journal.not_checked.extend(ALWAYS_OPEN)
    if policy is None:
        verdict.journal.not_checked.append(WITHOUT_PIN)
    return verdict


def _replay(evidence: Evidence, policy: AuditPolicy | None, verdict: Verdict) -> None:
    journal = verdict.journal
    files = journal.base("evidence.layout", lambda: layout.sort(evidence.files()))
    verdict.root = journal.base("root.pin", bind(roots.pin, evidence, files.roots[0], policy))
    chain = journal.base("root.chain", bind(roots.chain, evidence, files.roots, verdict.root))
    rules = journal.base("log.policy", bind(roots.log_policy, evidence, chain.newest, policy))
    head = journal.base("log.checkpoint", bind(log.checkpoint, evidence, rules, policy))
    replayed = journal.base("log.tiles", bind(log.tiles, evidence, rules, files.tiles, head))
    verdict.entries = replayed.tree.size
    journal.check(
        "log.history",
        bind(log.history, evidence, chain.log_policies, files.earlier, replayed),
    )
    entries = journal.base("log.entries", bind(log.entries, replayed))
    store = journal.base("objects.digests", bind(objects.digests, evidence, files, chain.raw))
    journal.base("objects.present", lambda: (None, documents.present(entries, store)))
    records = journal.base(
        "documents.signatures", bind(documents.signatures, entries, store, chain)
    )
    _campaigns(journal, records, store)
    voted = journal.base("bundle.archive", bind(bundles.archives, records, store))
    journal.check("plan.rounds", bind(plans.rounds, records, voted))
    journal.check("plan.carried", bind(conclusions.carried, records, voted, store))
    journal.check("bundle.author", bind(bundles.authors, voted, store))
    batches = journal.base("opening.batch", bind(openings.batches, records, store))
    _shared(journal, records, voted, store)
    journal.check("release.provenance", bind(releases.provenance, records, voted))
    journal.check("release.report", bind(releases.reports, records, voted, store))
    journal.check("commitment.public", bind(commitments.public, records))
    _actions(journal, records)
    if not files.restricted:
        journal.not_checked.append(WITHOUT_RESTRICTED)
        if any(logged.document.conclusion not in store for logged in records.releases):
            journal.not_checked.append(WITHOUT_CONCLUSIONS)
        return
    opened = journal.base(
        "commitment.opened", bind(commitments.opened, evidence, files.listings, records)
    )
    covered = commitments.covered(opened)
    left_out = commitments.about(records) - covered
    if left_out:
        journal.not_checked.append(
            f"orders, partials, sums and conclusions of {', '.join(sorted(left_out))}: not in this "
            "export"
        )
    ordered = journal.base("order.signatures", bind(orders.read, records, store, opened))
    journal.check("action.obeyed", bind(actions.obeyed, records, ordered))
    journal.check("order.plan", bind(orders.match_plans, records, ordered))
    dropped = journal.base("order.dropped", bind(orders.left_out, records, store, batches))
    journal.check(
        "order.receipts", bind(orders.receipts, records, ordered, batches, store, dropped)
    )
    if not ordered.accepted:
        journal.not_checked.append(WITHOUT_RECEIPTS)
    rounds = journal.base(
        "partial.signatures", bind(partials.read, records, store, batches, voted, covered)
    )
    journal.check("partial.committed", bind(partials.committed, records, rounds, batches, opened))
    journal.check("partial.ordered", bind(partials.ordered, rounds, ordered))
    journal.check("partial.cohort", bind(partials.cohorts, rounds, records))
    journal.check("partial.noise", bind(partials.noise, rounds))
    journal.check("partial.sum", bind(partials.sums, rounds, store))
    journal.check(
        "release.conclusion", bind(releases.conclusions, records, store, covered, ordered)
    )
    journal.check("consent.owners", bind(consents.owned, records, store, opened))


def _actions(journal: Journal, records: Records) -> None:
    journal.check("action.form", bind(actions.formed, records))
    journal.check("action.campaigns", bind(actions.campaigns, records))
    journal.check("action.workers", bind(actions.workers, records))
    if records.actions:
        journal.not_checked.append(WITH_ACTIONS)
    if unstarted := actions.unstarted(records):
        journal.not_checked.append(f"who started {', '.join(unstarted)}: no action in the log says")


def _campaigns(journal: Journal, records: Records, store: Objects) -> None:
    journal.check("authorisation.terms", bind(plans.authorisations, records))
    journal.base("plan.unique", lambda: (None, plans.unique(records)))
    journal.base("plan.authorised", lambda: (None, plans.authorised(records)))
    journal.check("helper.key", bind(helpers.keys, records))
    journal.base("opening.plan", lambda: (None, openings.planned(records)))
    journal.check("plan.suspended", bind(plans.suspended, records))
    journal.check("plan.counted", bind(plans.counted, records))
    journal.check("plan.parameters", bind(plans.parameters, records, store))
    journal.check("opening.minima", bind(openings.minima, records))
    journal.check("opening.aggregate", bind(openings.aggregates, records, store))


def _shared(
    journal: Journal, records: Records, voted: Mapping[Digest, Bundle], store: Objects
) -> None:
    """What institutions opened together; one line each where none of it was voted too."""
    journal.check("epoch.key", bind(epochs.keys, records, voted, store))
    journal.check("epoch.trustees", bind(epochs.trustees, records))
    journal.check("epoch.withheld", bind(epochs.withheld, records, store))
    journal.check("batch.committed", bind(shares.committed, records))
    journal.check("batch.first", bind(shares.first, records))
    journal.check("batch.withheld", bind(shares.withheld, records, store))
    journal.check("share.signatures", bind(shares.signatures, records, voted))
    journal.check("share.sum", bind(shares.sums, records, voted, store))
    journal.check("share.returned", bind(decryptions.returned, records))
    journal.check("share.opened", bind(decryptions.opened, records, voted, store))
    journal.check("helper.refusals", bind(helpers.refusals, records))
    journal.check("helper.destroyed", bind(helpers.destroyed, records))
    journal.check("epoch.retired", bind(epochs.retired, records))
    _not_shown(journal, records)


def _not_shown(journal: Journal, records: Records) -> None:
    """What no file can show of campaigns that several institutions opened."""
    epochs_of = {planned.digest: planned.document.epoch for planned in records.plans}
    encrypted = {epochs_of.get(share.document.plan) is not None for share in records.shares}
    if False in encrypted:
        journal.not_checked += [WITH_SHARES, SINGLE_SHARES]
    if True in encrypted:
        journal.not_checked += [WITH_KEYHOLDER, SINGLE_CIPHERTEXTS]
    kept = helpers.undestroyed(records)
    if kept:
        journal.not_checked.append(
            f"that the helper destroyed its key of {', '.join(kept)}: no notice is in the log"
        )
    kept = epochs.unretired(records)
    if kept:
        journal.not_checked.append(
            f"that the keyholder retired its key epoch of {', '.join(kept)}: no notice is in the "
            "log"
        )
