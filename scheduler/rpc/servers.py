"""The two gRPC ports: enrolment without client certificates, everything else with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from protos.cadastre.v1 import (
    actions_pb2,
    actions_pb2_grpc,
    audit_pb2,
    audit_pb2_grpc,
    blobs_pb2,
    blobs_pb2_grpc,
    bundles_pb2,
    bundles_pb2_grpc,
    campaigns_pb2,
    campaigns_pb2_grpc,
    consents_pb2,
    consents_pb2_grpc,
    enrolment_pb2,
    enrolment_pb2_grpc,
    work_pb2,
    work_pb2_grpc,
)
from scheduler.rpc import members, people
from scheduler.service.desk import Desk
from scheduler.service.exclusion import DenyList
from scheduler.service.standing import Standing
from scheduler.service.transfers import Transfers
from trust.certificates import Role
from wire.server import Gate, OpenGate, build_server, rotating_credentials

_PEOPLE = frozenset({Role.OPERATOR, Role.AUTHOR, Role.AUDITOR})
_ALL = _PEOPLE | {Role.WORKER}
ROLES: dict[str, frozenset[Role]] = {
    "/cadastre.v1.Work/": frozenset({Role.WORKER}),
    "/cadastre.v1.Renewal/": _ALL,
    "/cadastre.v1.Blobs/": _ALL,
    "/cadastre.v1.Blobs/Put": frozenset({Role.WORKER, Role.OPERATOR, Role.AUTHOR}),
    "/cadastre.v1.Bundles/": frozenset({Role.OPERATOR, Role.AUTHOR}),
    "/cadastre.v1.Bundles/List": _PEOPLE,
    "/cadastre.v1.Campaigns/": frozenset({Role.OPERATOR}),
    "/cadastre.v1.Campaigns/List": _PEOPLE,
    "/cadastre.v1.Campaigns/Show": _PEOPLE,
    "/cadastre.v1.Campaigns/Watch": _PEOPLE,
    "/cadastre.v1.Campaigns/Report": _PEOPLE,
    "/cadastre.v1.Consents/": frozenset({Role.OPERATOR}),
    "/cadastre.v1.Audit/": _PEOPLE,
    "/cadastre.v1.Workers/": frozenset({Role.OPERATOR}),
    "/cadastre.v1.Actions/": frozenset({Role.OPERATOR}),
    "/cadastre.v1.Workers/List": frozenset({Role.OPERATOR, Role.AUDITOR}),
    "/grpc.health.v1.Health/": _ALL,
    "/grpc.reflection.v1alpha.ServerReflection/": _PEOPLE,
}
_FILES = (
    actions_pb2,
    audit_pb2,
    blobs_pb2,
    bundles_pb2,
    campaigns_pb2,
    consents_pb2,
    enrolment_pb2,
    work_pb2,
)

TlsPair = Callable[[], tuple[bytes, bytes]]  # () -> (key PEM, certificate PEM)


@dataclass(frozen=True)
class Services:
    """Everything that the servicers work with."""

    desk: Desk
    standing: Standing
    transfers: Transfers
    deny: DenyList
    roots: Sequence[bytes]


def work_server(
    services: Services, pair: TlsPair, authority_pem: bytes, address: str
) -> tuple[grpc.aio.Server, int]:
    """The mTLS port and the number it is bound to."""
    desk = services.desk
    gate = Gate(territory=desk.territory, roles=ROLES, deny=services.deny, clock=desk.store.clock)
    server = build_server(gate)
    work_pb2_grpc.add_WorkServicer_to_server(members.Work(desk, services.standing), server)
    enrolment_pb2_grpc.add_RenewalServicer_to_server(members.Renewal(desk), server)
    blobs_pb2_grpc.add_BlobsServicer_to_server(
        members.Blobs(services.transfers, services.deny), server
    )
    bundles_pb2_grpc.add_BundlesServicer_to_server(people.Bundles(desk), server)
    campaigns_pb2_grpc.add_CampaignsServicer_to_server(
        people.Campaigns(desk, services.deny), server
    )
    consents_pb2_grpc.add_ConsentsServicer_to_server(people.Consents(desk), server)
    audit = people.Audit(desk, services.deny, services.roots)
    audit_pb2_grpc.add_AuditServicer_to_server(audit, server)
    workers = people.Workers(desk, services.deny)
    audit_pb2_grpc.add_WorkersServicer_to_server(workers, server)
    actions_pb2_grpc.add_ActionsServicer_to_server(people.Actions(desk, services.deny), server)
    names = [name for file in _FILES for name in _services(file)]
    _add_health(server, names)
    reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], server)
    port = server.add_secure_port(address, rotating_credentials(pair, authority_pem))
    return server, port


def enrolment_server(desk: Desk, pair: TlsPair, address: str) -> tuple[grpc.aio.Server, int]:
    """The port for newcomers: TLS that proves the server alone."""
    server = build_server(OpenGate())
    enrolment_pb2_grpc.add_EnrolmentServicer_to_server(members.Enrolment(desk), server)

    def configuration() -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([pair()])

    credentials = grpc.dynamic_ssl_server_credentials(
        configuration(), configuration, require_client_authentication=False
    )
    return server, server.add_secure_port(address, credentials)


def _services(file: object) -> list[str]:
    descriptor = file.DESCRIPTOR  # type: ignore[attr-defined]
    found = [service.full_name for service in descriptor.services_by_name.values()]
    return [name for name in found if name != "cadastre.v1.Enrolment"]


def _add_health(server: grpc.aio.Server, names: Sequence[str]) -> None:
    servicer = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    for name in ("", *names):
        servicer._server_status[name] = health_pb2.HealthCheckResponse.SERVING  # noqa: SLF001
