"""Fetching what a released model comes from, each piece believed once it is verified.

Signed documents that the log holds come with their proof; blobs are believed by their digest,
which a signed document names. Plans, openings, conclusions and results are readable by every
member, so nothing here asks for more than the role of whoever runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from client import proofs, roots
from client.errors import CampaignEnded, ModelNotReady, ModelUnverified
from client.proofs import Proven
from client.roots import Roots
from client.session import Session
from client.verbs import is_asked
from jobs import archive, lineage
from jobs import statement as statements
from jobs.archive import Bundle
from jobs.lineage import Lineage, Model
from protos.cadastre.v1 import campaigns_pb2, campaigns_pb2_grpc, states_pb2
from trust.documents.campaign import Opening, Plan, Release
from trust.documents.governance import Authorisation
from trust.documents.membership import BundleStatement
from trust.documents.root import Duty
from trust.documents.signed import Document, Signed
from trust.errors import Malformed, TrustError
from trust.ids import Digest
from trust.log.entry import Kind
from wire import blobs
from wire.errors import BadMessage, BlobAltered

D = TypeVar("D", bound=Document)

_RELEASED = states_pb2.CAMPAIGN_STATE_RELEASED
_OVER = frozenset({states_pb2.CAMPAIGN_STATE_FAILED, states_pb2.CAMPAIGN_STATE_CANCELLED})


@dataclass(frozen=True)
class Origin:
    """What a model was trained by and under; every document verified."""

    view: Any  # a CampaignView: the scheduler's word
    bundle: Bundle
    statement: Signed[BundleStatement]
    vote: Signed[Authorisation]
    release: Signed[Release]
    proofs: Mapping[str, Proven]  # "authorisation", "release"
    roots: Roots


@dataclass(frozen=True)
class Evidence:
    """A model whose every round holds, and the files that show it, by their relative path."""

    model: Model
    places: Mapping[Digest, int]
    files: Mapping[str, bytes]


async def origin(session: Session, campaign: str) -> Origin:
    """The verified release of `campaign` (an id or a prefix) and what it rests on.

    Raises NoModel, ModelNotReady, CampaignEnded, ModelUnverified, or a refusal of the scheduler.
    """
    stub = campaigns_pb2_grpc.CampaignsStub(session.channel)
    view = await session.call(stub.Show, campaigns_pb2.ShowCampaignRequest(campaign=campaign))
    bundle = await _bundle(session, _digest(view.bundle, "bundle"))
    lineage.require_state(bundle)
    _require_released(view)
    known = await _roots(session)
    release_proof = await _proven(
        session, _digest(view.release, "release"), Kind.RELEASE, "release"
    )
    release = _verified(known, Release, release_proof, Duty.ORDERS, "release")
    # A true release of an older campaign would verify just as well.
    named = release.document.campaign
    if named != view.campaign or not is_asked(named, campaign):
        raise ModelUnverified("the scheduler answered with the release of another campaign")
    raw = await _blob(session, _digest(view.statement, "author's statement"), "author's statement")
    vote_proof = await _proven(
        session,
        _digest(view.authorisation, "authorisation"),
        Kind.AUTHORISATION,
        "authorisation",
    )
    vote = _verified(known, Authorisation, vote_proof, Duty.COLLEGE, "authorisation")
    found = Origin(
        view,
        bundle,
        statements.verify(bundle, raw),
        vote,
        release,
        {"authorisation": vote_proof, "release": release_proof},
        known,
    )
    Lineage(bundle, vote, release)  # that the three belong together
    return found


async def follow(session: Session, found: Origin, reached: Callable[[int], None]) -> Evidence:
    """The evidence of every round, one state in memory at a time; `reached` hears of each.

    Raises LineageBroken, ModelUnverified, or a refusal of the scheduler.
    """
    chain = Lineage(found.bundle, found.vote, found.release)
    openings: list[Signed[Opening]] = []
    plans: list[Signed[Plan]] = []
    proven = dict(found.proofs)
    for number, digest in enumerate(found.release.document.openings, start=1):
        what = f"opening of round {number}"
        proof = await _proven(session, digest, Kind.OPENING, what)
        opening = _verified(found.roots, Opening, proof, Duty.ORDERS, what)
        proven[f"opening-{number}"] = proof
        what = f"plan of round {number}"
        proof = await _proven(session, opening.document.plan, Kind.PLAN, what)
        plans.append(_verified(found.roots, Plan, proof, Duty.ORDERS, what))
        proven[f"plan-{number}"] = proof
        openings.append(opening)
    concluded = [plan.document.after for plan in plans[1:]]
    concluded.append(found.release.document.conclusion)
    chain.start(await _blob(session, plans[0].document.parameters, "first round's parameters"))
    files: dict[str, bytes] = {}
    for number, (plan, opening, conclusion) in enumerate(
        zip(plans, openings, concluded, strict=True), start=1
    ):
        if conclusion is None:
            raise ModelUnverified(f"the plan of round {number + 1} names no round before it")
        envelope = await _blob(session, conclusion, f"conclusion of round {number}")
        result = await _blob(
            session, lineage.result_of(number, envelope), f"result of round {number}"
        )
        chain.take(plan, opening, envelope, result)
        files[f"log/conclusion-{number}.json"] = envelope
        reached(number)
    model = chain.finish()
    files["report.json"] = model.report
    files["release.json"] = proven["release"].envelope
    for named, proof in proven.items():
        files[f"log/{named}.tlog-proof"] = proof.proof
        if named != "release":
            files[f"log/{named}.json"] = proof.envelope
    places = {proof.digest: proof.index for proof in proven.values()}
    return Evidence(model, places, files)


def _require_released(view: Any) -> None:
    if view.state == _RELEASED:
        return
    why = f": {view.reason}" if view.reason else ""
    if view.state in _OVER:
        raise CampaignEnded(
            f"the campaign ended without a model{why}",
            remedy="`cadastre campaign show` lists its rounds; `cadastre model list` the models",
        )
    raise ModelNotReady(
        f"the campaign has released no model yet{why}",
        remedy="`cadastre campaign watch` shows how far it is",
    )


async def _bundle(session: Session, digest: Digest) -> Bundle:
    return archive.read(await _blob(session, digest, "bundle"), digest)


async def _proven(session: Session, digest: Digest, kind: Kind, what: str) -> Proven:
    try:
        found = await proofs.prove(session, digest)
    except (TrustError, BadMessage) as error:
        raise ModelUnverified(
            f"the {what} is not proven by the log: {error.sentence}", remedy=error.remedy
        ) from error
    if found.kind is not kind:
        raise ModelUnverified(f"the log holds the {what} as a {found.kind.value}")
    return found


async def _roots(session: Session) -> Roots:
    try:
        return await roots.in_force(session)
    except (TrustError, BadMessage) as error:
        raise ModelUnverified(error.sentence, remedy=error.remedy) from error


async def _blob(session: Session, digest: Digest, what: str) -> bytes:
    try:
        return await blobs.get(session.channel, digest)
    except BlobAltered as error:
        raise ModelUnverified(
            f"the {what} came with other bytes than its digest {digest} names"
        ) from error


def _verified(known: Roots, cls: type[D], proof: Proven, duty: Duty, what: str) -> Signed[D]:
    """The document in `proof`, signed by who had the duty where it stands in the log."""
    try:
        found = known.at(proof.index).verify(cls, proof.envelope, duty)
    except TrustError as error:
        raise ModelUnverified(f"the {what} does not verify: {error.sentence}") from error
    return found


def _digest(text: str, what: str) -> Digest:
    try:
        return Digest.parse(text)
    except Malformed as error:
        raise ModelUnverified(
            f"the scheduler names no {what} of this campaign",
            remedy="let the scheduler run the same release of Cadastre as this terminal",
        ) from error
