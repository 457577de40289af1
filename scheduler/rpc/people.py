"""What operators, authors and auditors ask for: bundles, campaigns, consents, proofs, workers.

One thin servicer per service of the contract; which role may call what is the gate's
(`scheduler.rpc.servers`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from protos.cadastre.v1 import (
    actions_pb2,
    actions_pb2_grpc,
    audit_pb2,
    audit_pb2_grpc,
    bundles_pb2,
    bundles_pb2_grpc,
    campaigns_pb2,
    campaigns_pb2_grpc,
    consents_pb2,
    consents_pb2_grpc,
    states_pb2,
)
from scheduler.domain.states import CampaignState
from scheduler.errors import InputRefused
from scheduler.rpc import views
from scheduler.rpc.calls import Context, while_admitted
from scheduler.service import (
    acting,
    bundles,
    campaigns,
    consents,
    evidence,
    exclusion,
    roster,
    starting,
)
from scheduler.service.actions import Actor
from scheduler.service.desk import Desk
from scheduler.service.exclusion import DenyList
from trust.clock import to_text
from trust.documents.actions import Act
from trust.ids import Digest, WorkerId
from wire.limits import CHUNK_BYTES, MAXIMUM_MESSAGE_BYTES
from wire.server import current_peer

# Room for the framing of one evidence file in one message.
_EVIDENCE_LIMIT = MAXIMUM_MESSAGE_BYTES - CHUNK_BYTES


class Bundles(bundles_pb2_grpc.BundlesServicer):
    """Bundles and the college's decisions."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def Submit(  # noqa: N802 - the contract's name
        self, request: bundles_pb2.SubmitBundleRequest, context: Context
    ) -> bundles_pb2.BundleSummary:
        del context
        digest = Digest.parse(request.bundle)
        return views.bundle(await bundles.submit(self._desk, digest, request.statement))

    async def List(  # noqa: N802 - the contract's name
        self, request: bundles_pb2.ListBundlesRequest, context: Context
    ) -> bundles_pb2.ListBundlesResponse:
        del request, context
        found = await bundles.list_all(self._desk)
        return bundles_pb2.ListBundlesResponse(bundles=[views.bundle(item) for item in found])

    async def Authorise(  # noqa: N802 - the contract's name
        self, request: bundles_pb2.AuthoriseRequest, context: Context
    ) -> bundles_pb2.BundleSummary:
        del context
        return views.bundle(await bundles.authorise(self._desk, request.authorisation))

    async def Suspend(  # noqa: N802 - the contract's name
        self, request: bundles_pb2.SuspendRequest, context: Context
    ) -> bundles_pb2.BundleSummary:
        del context
        return views.bundle(await bundles.suspend(self._desk, request.suspension))


class Campaigns(campaigns_pb2_grpc.CampaignsServicer):
    """An operator's campaigns."""

    def __init__(self, desk: Desk, deny: DenyList) -> None:
        self._desk = desk
        self._deny = deny

    async def Start(  # noqa: N802 - the contract's name
        self, request: campaigns_pb2.StartCampaignRequest, context: Context
    ) -> campaigns_pb2.CampaignView:
        del context
        view = await starting.start(
            self._desk,
            current_peer().name,
            request.bundle,
            request.parameters,
            request.request,
            reason=request.reason,
        )
        return views.campaign(view, current_peer().role)

    async def List(  # noqa: N802 - the contract's name
        self, request: campaigns_pb2.ListCampaignsRequest, context: Context
    ) -> campaigns_pb2.ListCampaignsResponse:
        del context
        state = _campaign_state(request.state)
        found = await campaigns.list_all(self._desk, state, request.limit, request.after)
        return campaigns_pb2.ListCampaignsResponse(
            campaigns=[views.campaign(item, current_peer().role) for item in found]
        )

    async def Show(  # noqa: N802 - the contract's name
        self, request: campaigns_pb2.ShowCampaignRequest, context: Context
    ) -> campaigns_pb2.CampaignView:
        del context
        view = await campaigns.show(self._desk, request.campaign)
        return views.campaign(view, current_peer().role)

    async def Watch(  # noqa: N802 - the contract's name
        self, request: campaigns_pb2.ShowCampaignRequest, context: Context
    ) -> AsyncIterator[campaigns_pb2.CampaignView]:
        del context
        found = campaigns.watch(self._desk, current_peer().name, request.campaign)
        async for view in while_admitted(self._deny, found):
            yield views.campaign(view, current_peer().role)

    async def Cancel(  # noqa: N802 - the contract's name
        self, request: campaigns_pb2.CancelCampaignRequest, context: Context
    ) -> campaigns_pb2.CampaignView:
        del context
        actor = Actor.member(current_peer().name)
        view = await campaigns.cancel(self._desk, request.campaign, request.reason, actor=actor)
        return views.campaign(view, current_peer().role)

    async def Report(  # noqa: N802 - the contract's name
        self, request: campaigns_pb2.ShowCampaignRequest, context: Context
    ) -> campaigns_pb2.ReportResponse:
        del context
        release, report = await campaigns.report(self._desk, request.campaign)
        return campaigns_pb2.ReportResponse(release=release, report=report)


class Consents(consents_pb2_grpc.ConsentsServicer):
    """Owners' consents."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def Submit(  # noqa: N802 - the contract's name
        self, request: consents_pb2.SubmitConsentsRequest, context: Context
    ) -> consents_pb2.SubmitConsentsResponse:
        del context
        result = await consents.submit(self._desk, list(request.consents))
        return consents_pb2.SubmitConsentsResponse(
            accepted=result.accepted,
            unchanged=result.unchanged,
            refused=[
                consents_pb2.RefusedConsent(
                    index=item.index,
                    code=item.code,
                    sentence=item.sentence,
                    remedy=item.remedy,
                )
                for item in result.refused
            ],
        )

    async def Status(  # noqa: N802 - the contract's name
        self, request: consents_pb2.ConsentStatusRequest, context: Context
    ) -> consents_pb2.ConsentStatusResponse:
        del context
        found = await consents.status(self._desk, list(request.capsules))
        return consents_pb2.ConsentStatusResponse(consents=[views.consent(row) for row in found])


class Audit(audit_pb2_grpc.AuditServicer):
    """Proofs and evidence."""

    def __init__(self, desk: Desk, deny: DenyList, roots: Sequence[bytes]) -> None:
        self._desk = desk
        self._deny = deny
        self._roots = roots

    async def Prove(  # noqa: N802 - the contract's name
        self, request: audit_pb2.ProveRequest, context: Context
    ) -> audit_pb2.ProveResponse:
        del context
        found = await evidence.prove(self._desk, request.entry)
        return audit_pb2.ProveResponse(
            proof=found.proof, index=found.index, envelope=found.envelope, kind=found.kind
        )

    async def Evidence(  # noqa: N802 - the contract's name
        self, request: audit_pb2.EvidenceRequest, context: Context
    ) -> AsyncIterator[audit_pb2.EvidenceFile]:
        del context
        files = evidence.export(
            self._desk,
            current_peer().role,
            request.campaign,
            roots=self._roots,
        )
        async for file in files:
            # A large file comes in several messages of the same path, in order.
            for start in range(0, max(1, len(file.data)), _EVIDENCE_LIMIT):
                part = file.data[start : start + _EVIDENCE_LIMIT]
                self._deny.require_admitted(current_peer())
                yield audit_pb2.EvidenceFile(path=file.path, data=part)


class Workers(audit_pb2_grpc.WorkersServicer):
    """The workers, as operators see them."""

    def __init__(self, desk: Desk, deny: DenyList) -> None:
        self._desk = desk
        self._deny = deny

    async def List(  # noqa: N802 - the contract's name
        self, request: audit_pb2.ListWorkersRequest, context: Context
    ) -> audit_pb2.ListWorkersResponse:
        del request, context
        found = await roster.list_workers(self._desk)
        return audit_pb2.ListWorkersResponse(workers=[views.worker(item) for item in found])

    async def Ban(  # noqa: N802 - the contract's name
        self, request: audit_pb2.BanWorkerRequest, context: Context
    ) -> audit_pb2.WorkerView:
        del context
        name = WorkerId.parse(request.worker)
        actor = Actor.member(current_peer().name)
        await exclusion.exclude(self._desk, name, request.reason, actor=actor)
        await self._deny.refresh()
        found = await roster.list_workers(self._desk)
        return next(views.worker(item) for item in found if item.row.name == name)


class Actions(actions_pb2_grpc.ActionsServicer):
    """What operators do by hand and no other service does."""

    def __init__(self, desk: Desk, deny: DenyList) -> None:
        self._desk = desk
        self._deny = deny

    async def Act(  # noqa: N802 - the contract's name
        self, request: actions_pb2.ActRequest, context: Context
    ) -> actions_pb2.ActionView:
        del context
        try:
            act = Act(request.act)
        except ValueError as error:
            raise InputRefused(f"{request.act[:40]!r} is no action") from error
        actor = Actor.member(current_peer().name)
        row = await acting.act(
            self._desk, actor, act, request.subject, request.reason, request=request.request
        )
        await self._deny.refresh()
        return actions_pb2.ActionView(
            action=row.id,
            act=row.act,
            subject=row.unit or row.worker or row.campaign or "",
            entry=row.digest,
            acted_at=to_text(row.acted_at),
        )


def _campaign_state(number: int) -> CampaignState | None:
    if number == states_pb2.CAMPAIGN_STATE_UNSPECIFIED:
        return None
    try:
        name = states_pb2.CampaignState.Name(number)
    except ValueError as error:
        raise InputRefused(f"{number} is not a campaign state") from error
    return CampaignState(name.removeprefix("CAMPAIGN_STATE_").lower())
