"""A server of the grid: mutual TLS, who may call what, one place where refusals leave.

The gate runs before every handler: it reads the peer from the certificate that TLS checked,
asks the deny list, checks the role for the service, and turns any Problem that the handler
raises into its status. A handler asks `current_peer()` who is calling.
"""

from __future__ import annotations

import contextvars
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NoReturn

import grpc
import grpc.aio
from cryptography import x509

from trust.certificates import Peer, Role, peer_of
from trust.clock import Clock
from trust.errors import CertificateRefused
from trust.problem import Problem
from wire.errors import Denied, NotPermitted
from wire.limits import OPEN_CONCURRENT_CALLS, OPEN_SERVER_OPTIONS, SERVER_OPTIONS
from wire.status import abort

_LOG = logging.getLogger("cadastre.wire")
_PEER: contextvars.ContextVar[Peer] = contextvars.ContextVar("peer")

DenyList = Callable[[Peer], str | None]  # a reason when the peer is denied
Roles = Mapping[str, frozenset[Role]]  # "/cadastre.v1.Work/" or a full method -> who may call


class InternalFault(Problem):
    """An unexpected exception in a handler; its text stays in the server's own log."""

    code = "internal"
    advice = "ask whoever runs the server to read its log of this moment, then try again"


# grpc's own classes are generic only in its stubs; handlers of every method pass through here.
Handler = Any
Context = Any
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler]]
_MAKERS: dict[tuple[bool, bool], Any] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def current_peer() -> Peer:
    """Who is calling, inside a handler of a gated server."""
    return _PEER.get()


def server_credentials(
    key_pem: bytes, certificate_pem: bytes, client_authority_pem: bytes | None
) -> grpc.ServerCredentials:
    """Static credentials; with `client_authority_pem` a client certificate is demanded."""
    return grpc.ssl_server_credentials(
        [(key_pem, certificate_pem)],
        root_certificates=client_authority_pem,
        require_client_auth=client_authority_pem is not None,
    )


def rotating_credentials(
    fetch: Callable[[], tuple[bytes, bytes]], client_authority_pem: bytes
) -> grpc.ServerCredentials:
    """Mutual TLS with a server certificate that can be renewed while serving.

    `fetch() -> (key, certificate)` is asked at every new connection: return a cached pair.
    """

    def configuration() -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([fetch()], client_authority_pem)

    return grpc.dynamic_ssl_server_credentials(
        configuration(), configuration, require_client_authentication=True
    )


def build_server(gate: Gate | OpenGate) -> grpc.aio.Server:
    """A server with the grid's limits, behind `gate`."""
    if isinstance(gate, OpenGate):
        return grpc.aio.server(
            interceptors=[gate],
            options=OPEN_SERVER_OPTIONS,
            maximum_concurrent_rpcs=OPEN_CONCURRENT_CALLS,
        )
    return grpc.aio.server(interceptors=[gate], options=SERVER_OPTIONS)


class Gate(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Mutual TLS: peer, deny list, role, refusals. Fails closed: no role entry, no call."""

    def __init__(self, *, territory: str, roles: Roles, deny: DenyList, clock: Clock) -> None:
        self._territory = territory
        self._roles = roles
        self._deny = deny
        self._clock = clock

    async def intercept_service(
        self, continuation: Continuation, details: grpc.HandlerCallDetails
    ) -> Handler:
        handler = await continuation(details)
        return None if handler is None else _guard(handler, details.method, self.admit)

    def admit(self, context: Context, method: str) -> None:
        """Set the current peer or raise Denied or NotPermitted."""
        pem = context.auth_context().get("x509_pem_cert", [b""])[0]
        try:
            certificate = x509.load_pem_x509_certificate(pem)
            peer = peer_of(certificate, self._territory, self._clock.now())
        except (ValueError, CertificateRefused) as error:
            raise Denied(
                "the client certificate is not a valid one of this territory",
                remedy="renew it, or join again with a fresh token",
            ) from error
        reason = self._deny(peer)
        if reason is not None:
            raise Denied(f"{peer.name} is denied: {reason}", remedy="ask the territory's operator")
        service = method[: method.rfind("/") + 1]
        # An empty set for a method means nobody, not "as for the rest of the service".
        allowed = self._roles.get(method, self._roles.get(service, frozenset()))
        if peer.role not in allowed:
            raise NotPermitted(
                f"a certificate for the role {peer.role.value} may not call {method}",
                remedy=f"use an identity with one of: {', '.join(sorted(allowed)) or 'none'}",
            )
        _PEER.set(peer)


class OpenGate(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """For the enrolment port, where nobody has a certificate yet: refusals only."""

    async def intercept_service(
        self, continuation: Continuation, details: grpc.HandlerCallDetails
    ) -> Handler:
        handler = await continuation(details)
        return None if handler is None else _guard(handler, details.method, _admit_all)


def _admit_all(context: Context, method: str) -> None:
    del context, method


def _guard(handler: Handler, method: str, admit: Callable[[Context, str], None]) -> Handler:
    """`handler` with admission before it and refusals mapped behind it."""
    if handler.request_streaming:
        behaviour = handler.stream_stream if handler.response_streaming else handler.stream_unary
    else:
        behaviour = handler.unary_stream if handler.response_streaming else handler.unary_unary

    async def single(request: Any, context: Context) -> Any:
        try:
            admit(context, method)
            return await behaviour(request, context)
        except (grpc.aio.AbortError, grpc.RpcError):
            raise
        except Exception as error:  # noqa: BLE001 - the outermost edge of every call
            await _refuse(context, method, error)

    async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
        try:
            admit(context, method)
            responses = behaviour(request, context)
            if inspect.isawaitable(responses):
                # grpc's other form of a streaming handler, which writes to the context by itself
                # (the health service's Watch).
                await responses
                return
            async for response in responses:
                yield response
        except (grpc.aio.AbortError, grpc.RpcError):
            raise
        except Exception as error:  # noqa: BLE001 - the outermost edge of every call
            await _refuse(context, method, error)

    make = _MAKERS[bool(handler.request_streaming), bool(handler.response_streaming)]
    return make(
        stream if handler.response_streaming else single,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )


async def _refuse(context: Context, method: str, error: Exception) -> NoReturn:
    if isinstance(error, Problem):
        # The caller hears the code; whoever runs this server must find the same one here.
        caller = _PEER.get(None)
        name = "" if caller is None else caller.name
        _LOG.info("refused", extra={"method": method, "code": error.code, "peer": name})
        await abort(context, error)
    _LOG.error("handler failed", extra={"method": method}, exc_info=error)
    await abort(context, InternalFault("the server met an unexpected fault; see its log"))
