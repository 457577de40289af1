"""The enrolment token: everything a new machine needs to join, and to know whom it joins.

Text: `cadastre-token-v1.` and base64url of a small JSON object. It carries the territory root's
hash, so whoever answers at the address can only be the territory that made the token.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from datetime import datetime

from trust import schema
from trust.errors import Malformed
from trust.ids import Digest

PREFIX = "cadastre-token-v1."
# A token is about 500 characters; a longer text is not one.
MAXIMUM_TOKEN = 4096


@dataclass(frozen=True)
class Token:
    """One admission: `secret` is 32 bytes, good once and for an hour."""

    enrol: str  # host:port of the enrolment service
    site: str  # http address of the scheduler's files (roots, log)
    root: Digest  # of the first territory root's envelope
    secret: bytes = field(repr=False)
    role: str
    operator: str
    place: str  # the site that the machine stands on, as the operator named it
    expires: datetime

    @classmethod
    def parse(cls, text: str) -> Token:
        """The token in `text`. Raises Malformed, never quoting the secret."""
        stripped = text.strip()
        if not stripped.startswith(PREFIX) or len(stripped) > MAXIMUM_TOKEN:
            raise Malformed(
                f"this is not an enrolment token: expected {PREFIX}…",
                remedy="copy the whole line that `cadastre scheduler token create` printed",
            )
        body = stripped.removeprefix(PREFIX)
        try:
            raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
            return schema.decode(cls, raw)
        except (binascii.Error, ValueError, Malformed) as error:
            raise Malformed(
                "the enrolment token is damaged", remedy="copy it again, whole, on one line"
            ) from error

    def __str__(self) -> str:
        return PREFIX + base64.urlsafe_b64encode(schema.encode(self)).decode().rstrip("=")
