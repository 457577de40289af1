"""Joining a territory with a token: pin the root, prove the keys, get a certificate.

The token's root hash decides whom we trust before a byte is sent: the root names the private
certificate authority, and only a server certified by it is talked to.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from protos.cadastre.v1 import enrolment_pb2, enrolment_pb2_grpc
from trust import certificates, root
from trust.clock import Clock, to_text
from trust.documents import signed
from trust.documents.membership import EnrolmentProof
from trust.ids import Digest
from trust.keys import PrivateKey
from trust.root import TrustedRoot
from wire.channel import TlsIdentity, open_channel
from wire.errors import NotPermitted, TokenExpired
from wire.limits import CALL_TIMEOUT_SECONDS
from wire.site import fetch_roots
from wire.status import from_rpc_error
from wire.token import Token


@dataclass(frozen=True)
class Membership:
    """What joining gave: verified roots and a certificate for 24 hours."""

    root: TrustedRoot
    chain: tuple[bytes, ...]  # root envelopes from the pinned one on
    certificate: x509.Certificate
    name: str
    role: str
    work_address: str


async def join(
    token: Token,
    node: PrivateKey,
    tls: ec.EllipticCurvePrivateKey,
    hpke: bytes,
    clock: Clock,
) -> Membership:
    """Redeem `token` for the keys of this node; `hpke` is its X25519 public key (32 bytes).

    Raises TokenExpired, RootRefused, Unreachable or the scheduler's refusal. Asking again with
    the same keys before the token expires is harmless: a lost answer costs nothing.
    """
    now = clock.now()
    if now >= token.expires:
        raise TokenExpired(
            f"the token expired at {to_text(token.expires)}",
            remedy="ask the territory's operator for a fresh one; it lives for an hour",
        )
    chain = await asyncio.to_thread(fetch_roots, token.site)
    trusted = root.walk(chain, token.root)
    trusted.require_current(now)
    request = certificates.make_request(tls, token.role)
    proof = signed.sign(
        EnrolmentProof(
            token=Digest.of(token.secret),
            request=Digest.of(request),
            key=node.public,
            hpke=hpke,
            operator=token.operator,
            site=token.place,
        ),
        [node],
    )
    authority = certificates.to_pem(certificates.from_der(trusted.document.authority))
    async with open_channel(token.enrol, authority, None) as channel:
        message = enrolment_pb2.EnrolRequest(
            secret=token.secret, request=request, proof=proof.envelope.raw
        )
        stub = enrolment_pb2_grpc.EnrolmentStub(channel)
        try:
            answer = await stub.Enrol(message, timeout=CALL_TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
    certificate = _checked(answer.certificate, trusted, tls, clock)
    return Membership(
        trusted, tuple(chain), certificate, answer.name, answer.role, answer.work_address
    )


async def renew(
    address: str,
    identity: TlsIdentity,
    *,
    trusted: TrustedRoot,
    tls: ec.EllipticCurvePrivateKey,
    clock: Clock,
) -> x509.Certificate:
    """A fresh certificate for the same key. Raises the scheduler's refusal or Unreachable."""
    authority = certificates.to_pem(certificates.from_der(trusted.document.authority))
    async with open_channel(address, authority, identity) as channel:
        message = enrolment_pb2.RenewRequest(request=certificates.make_request(tls, "renewal"))
        stub = enrolment_pb2_grpc.RenewalStub(channel)
        try:
            answer = await stub.Renew(message, timeout=CALL_TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
    return _checked(answer.certificate, trusted, tls, clock)


def _checked(
    der: bytes, trusted: TrustedRoot, tls: ec.EllipticCurvePrivateKey, clock: Clock
) -> x509.Certificate:
    """The certificate, if it is for our key and from the territory's authority."""
    certificate = certificates.from_der(der)
    certificates.peer_of(certificate, trusted.document.territory, clock.now())
    if certificate.public_key() != tls.public_key():
        raise NotPermitted(
            "the scheduler certified another key than ours", remedy="join again with a fresh token"
        )
    return certificate
