"""From a release back to its first round: a model is what the voted bundle made of its rounds.

A model is the state that a campaign of several rounds ended with. The scheduler's signature under
the release names every opening and the last conclusion; each plan names the conclusion it follows;
each conclusion names its result. So the chain is followed here by digests alone, and each round's
parameters are made again from the state before: a round that trained another model shows.

Who concluded each round is a worker's signature, whose key an audit finds in the log; here a
conclusion counts because a document of the scheduler names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jobs import conclusion, report, state
from jobs.archive import Bundle
from jobs.errors import LineageBroken as Broken
from jobs.errors import NoModel, ReportRefused
from jobs.schema import Manifest
from protection import accounting
from protection.columns import Column
from trust import dsse, parameters
from trust.documents.campaign import Opening, Plan, Release
from trust.documents.governance import Authorisation
from trust.documents.reporting import Conclusion
from trust.documents.signed import Signed
from trust.errors import TrustError
from trust.ids import Digest
from trust.schema import decode


@dataclass(frozen=True)
class Round:
    """One round as its documents tell it; digests are of envelopes, `result` of the blob."""

    number: int
    plan: Signed[Plan]
    opening: Signed[Opening]
    conclusion: Digest
    result: Digest
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Model:
    """A model whose whole lineage holds; made by `Lineage.finish` only."""

    bundle: Bundle
    vote: Signed[Authorisation]
    release: Signed[Release]
    settings: bytes  # canonical JSON: what the operator set
    rounds: tuple[Round, ...]
    state: Mapping[str, Column]
    report: bytes  # JSON, as released


class Lineage:
    """Follows a release round by round, holding one state at a time."""

    def __init__(
        self, bundle: Bundle, vote: Signed[Authorisation], release: Signed[Release]
    ) -> None:
        """Begin with three verified documents.

        Raises NoModel, and LineageBroken where they are not about the same thing.
        """
        require_state(bundle)
        self._bundle, self._vote, self._release = bundle, vote, release
        self._settings = b""
        self._rounds: list[Round] = []
        self._last: conclusion.Concluded | None = None
        self._result = b""
        self._require_vote()

    def start(self, blob: bytes) -> None:
        """The first round's parameter blob, whose digest the first plan has to name."""
        try:
            self._settings = parameters.parse(blob).settings
        except TrustError as error:
            raise Broken("the first round's parameters are not in their form") from error
        _same("first round's parameters", blob, state.first(self._manifest, self._settings))

    def take(
        self, plan: Signed[Plan], opening: Signed[Opening], envelope: bytes, result: bytes
    ) -> Round:
        """The next round, from its verified plan and opening. Raises LineageBroken.

        `envelope` is its conclusion's and `result` the blob that this one names.
        """
        number = len(self._rounds) + 1
        self._require_plan(number, plan)
        self._require_opening(number, plan, opening)
        made = _conclusion(number, envelope)
        self._require_conclusion(number, made, plan, opening)
        _same(f"result of round {number}", Digest.of(result), made.result)
        try:
            found = conclusion.read(self._manifest, result)
        except ReportRefused as error:
            raise Broken(f"the result of round {number}: {error.sentence}") from error
        metrics = conclusion.singles(self._manifest, found)
        taken = Round(number, plan, opening, Digest.of(envelope), made.result, metrics)
        self._rounds.append(taken)
        self._last, self._result = found, result
        return taken

    def finish(self) -> Model:
        """The model, once every opening that the release names was taken. Raises LineageBroken."""
        release, last = self._release.document, self._last
        if last is None or last.state is None or len(self._rounds) != len(release.openings):
            raise Broken(
                f"the release names {len(release.openings)} rounds, {len(self._rounds)} are here"
            )
        if not last.stop and len(self._rounds) != self._manifest.rounds.maximum:
            raise Broken("the campaign was released before its last round, and nothing says stop")
        _same("last conclusion", self._rounds[-1].conclusion, release.conclusion)
        rendered = report.render(self._manifest, self._result)
        _same("report", Digest.of(rendered), release.report)
        return Model(
            self._bundle,
            self._vote,
            self._release,
            self._settings,
            tuple(self._rounds),
            last.state,
            rendered,
        )

    @property
    def _manifest(self) -> Manifest:
        return self._bundle.manifest

    def _require_vote(self) -> None:
        release, vote, manifest = self._release.document, self._vote.document, self._manifest
        _same("release's bundle", release.bundle, self._bundle.digest)
        _same("authorisation", vote.id, release.authorisation)
        _same("authorisation's territory", vote.territory, release.territory)
        _same("authorisation's bundle", vote.bundle, self._bundle.digest)
        _same("authorisation's manifest", vote.manifest, self._bundle.manifest_digest)
        _same("authorisation's release rules", vote.rules, manifest.rules())
        if not 1 <= len(release.openings) <= manifest.rounds.maximum:
            raise Broken(f"the release names {len(release.openings)} rounds, more than were voted")
        owed = accounting.spent(vote.rules, len(release.openings), manifest.rounds.maximum)
        _same("release's rho", release.rho, owed)

    def _require_plan(self, number: int, plan: Signed[Plan]) -> None:
        told, release = plan.document, self._release.document
        what = f"plan of round {number}"
        _same(f"{what}: number", told.round, number)
        for name in ("territory", "campaign", "bundle", "authorisation"):
            _same(f"{what}: {name}", getattr(told, name), getattr(release, name))
        if self._last is None:
            _same(f"{what}: round before", told.after, None)
            blob = state.first(self._manifest, self._settings)
        else:
            if self._last.stop or self._last.state is None:
                raise Broken(f"round {number} follows a round that was the last")
            _same(f"{what}: conclusion before", told.after, self._rounds[-1].conclusion)
            blob = state.following(self._settings, number, self._last.state)
        _same(f"{what}: parameters", told.parameters, Digest.of(blob))

    def _require_opening(self, number: int, plan: Signed[Plan], opening: Signed[Opening]) -> None:
        told, what = opening.document, f"opening of round {number}"
        listed = self._release.document.openings
        if number > len(listed):
            raise Broken(f"the release names no opening of round {number}")
        _same(what, opening.digest, listed[number - 1])
        _same(f"{what}: plan", told.plan, plan.digest)
        for name in ("territory", "campaign", "round", "parameters"):
            _same(f"{what}: {name}", getattr(told, name), getattr(plan.document, name))

    def _require_conclusion(
        self, number: int, made: Conclusion, plan: Signed[Plan], opening: Signed[Opening]
    ) -> None:
        what = f"conclusion of round {number}"
        for name in ("territory", "campaign", "round", "bundle"):
            _same(f"{what}: {name}", getattr(made, name), getattr(plan.document, name))
        _same(f"{what}: plan", made.plan, plan.digest)
        _same(f"{what}: aggregate", made.aggregate, opening.document.aggregate)
        if made.image not in self._vote.document.images:
            raise Broken(f"the {what} was made on a runtime image that was not voted")


def require_state(bundle: Bundle) -> None:
    """Raise NoModel when no state goes from round to round of `bundle`."""
    if not bundle.manifest.state:
        about = bundle.manifest.bundle
        raise NoModel(f"{about.name} {about.version} declares no [state]: it trains no model")


def result_of(number: int, envelope: bytes) -> Digest:
    """The result that the conclusion in `envelope` names. Raises LineageBroken."""
    return _conclusion(number, envelope).result


def _conclusion(number: int, envelope: bytes) -> Conclusion:
    try:
        parsed = dsse.Envelope.parse(envelope)
        if parsed.payload_type == Conclusion.TYPE:
            return decode(Conclusion, parsed.payload)
    except TrustError as error:
        raise Broken(f"the conclusion of round {number} is not in its form") from error
    raise Broken(f"the conclusion of round {number} is another kind of document")


def _same(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise Broken(f"the {what} is not the one that the signed documents name")
