"""A client's channel: TLS that trusts one private authority, with or without an identity."""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc
import grpc.aio

from wire.limits import CHANNEL_OPTIONS


@dataclass(frozen=True)
class TlsIdentity:
    """A leaf certificate and its key, PEM; a rotation makes a new identity and a new channel."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)


def open_channel(
    address: str, authority_pem: bytes, identity: TlsIdentity | None
) -> grpc.aio.Channel:
    """A channel to `host:port`; the caller closes it.

    grpcio cannot reload a client certificate: after a renewal open a new channel, move new
    calls to it and close the old one with a grace period.
    """
    credentials = grpc.ssl_channel_credentials(
        root_certificates=authority_pem,
        private_key=identity.key_pem if identity else None,
        certificate_chain=identity.certificate_pem if identity else None,
    )
    return grpc.aio.secure_channel(address, credentials, options=CHANNEL_OPTIONS)
