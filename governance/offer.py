"""What a scheduler offers to be named in the territory root: `offer.json`, all public."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from governance.errors import CeremonyRefused
from trust.keys import PublicKey
from trust.log.note import LogKey

_FIELDS = ("territory", "orders_key", "authority", "log_vkey", "site")


@dataclass(frozen=True)
class Offer:
    """The scheduler's public halves; `authority` is its X.509 certificate authority in DER."""

    territory: str
    orders_key: PublicKey
    authority: bytes
    log_key: LogKey
    site: str  # http(s)://host:port, where roots and the log are served

    @classmethod
    def parse(cls, raw: bytes) -> Offer:
        """The offer in `raw`. Raises CeremonyRefused, KeyRefused or Malformed."""
        try:
            fields = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise CeremonyRefused("the offer is not JSON") from error
        if not isinstance(fields, dict) or set(fields) != set(_FIELDS):
            raise CeremonyRefused(
                f"an offer has exactly the fields {', '.join(_FIELDS)}",
                remedy="give the offer.json that `cadastre scheduler init` wrote",
            )
        if not all(isinstance(fields[name], str) and fields[name] for name in _FIELDS):
            raise CeremonyRefused("every field of an offer is a text")
        try:
            authority = base64.b64decode(fields["authority"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise CeremonyRefused("the offer's authority is not base64 of a certificate") from error
        return cls(
            fields["territory"],
            PublicKey.parse(fields["orders_key"]),
            authority,
            LogKey.parse(fields["log_vkey"]),
            fields["site"].rstrip("/"),
        )
