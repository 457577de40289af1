"""The identity provider, as a file says: who it is, who we are to it, whom it gives which role."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from web.signin.address import split_address
from web.signin.errors import ConfigurationRefused
from web.signin.roles import LONGEST_SUBJECT, Role, in_order, tidy_name

LARGEST_FILE = 64 * 1024  # bytes
LONGEST_ISSUER = LONGEST_SUBJECT - 262  # a person's subject is it, a # and 255 letters at most
_LONGEST = 512  # letters of any one value
_MOST_VALUES = 1000  # of the claim, for one role
_SOURCES = ("id_token", "userinfo")
_FIELDS = {
    "issuer",
    "client_id",
    "client_secret_file",
    "label",
    "scopes",
    "claim",
    "claims_from",
    "roles",
}


@dataclass(frozen=True)
class IssuerConfiguration:
    """What is known beforehand; everything else is asked of the issuer itself."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)  # "" for a public client: PKCE protects it alone
    label: str  # what the button on the sign-in page calls it
    scopes: tuple[str, ...]  # beside `openid`
    claim: tuple[str, ...]  # the way to the claim whose values give roles
    claims_from: str  # "id_token" or "userinfo"
    roles: Mapping[str, frozenset[Role]]  # by the claim's value: a list, never a pattern

    def roles_of(self, claims: Mapping[str, Any]) -> frozenset[Role]:
        """The roles that these claims give; none for what nobody listed."""
        found: Any = claims
        for step in self.claim:
            found = found.get(step) if isinstance(found, Mapping) else None
        values = found if isinstance(found, list) else [found]
        given = (self.roles.get(value, frozenset()) for value in values if isinstance(value, str))
        return frozenset[Role]().union(*given)

    @property
    def on_this_machine(self) -> bool:
        """Whether the issuer is reached without TLS, on this very machine."""
        return self.issuer.startswith("http://")


def load(path: Path) -> IssuerConfiguration:
    """The configuration in the TOML file at `path`. Raises ConfigurationRefused."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(LARGEST_FILE + 1)
        plain = tomllib.loads(raw.decode()) if len(raw) <= LARGEST_FILE else None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationRefused(f"{path} cannot be read as TOML: {error}") from error
    if plain is None:
        raise ConfigurationRefused(f"{path} is larger than {LARGEST_FILE} bytes")
    return parse(plain, path.parent)


def parse(plain: Mapping[str, Any], folder: Path) -> IssuerConfiguration:
    """The configuration that `plain` says; file names are taken from `folder`.

    Raises ConfigurationRefused, never quoting a secret.
    """
    if unknown := sorted(set(plain) - _FIELDS):
        raise ConfigurationRefused(f"the sign-in file has unknown fields: {', '.join(unknown)}")
    issuer = _text(plain, "issuer")
    parts, _, _ = split_address(issuer)
    if parts.query or parts.fragment or len(issuer) > LONGEST_ISSUER:
        raise ConfigurationRefused(
            "an issuer is an address without a query, of 250 letters at most"
        )
    claim = plain.get("claim", "groups")
    steps = [claim] if isinstance(claim, str) else claim
    if not isinstance(steps, list) or not steps or not all(isinstance(s, str) for s in steps):
        raise ConfigurationRefused("`claim` is a claim's name, or a list of names that lead to it")
    source = _text(plain, "claims_from", default="id_token")
    if source not in _SOURCES:
        raise ConfigurationRefused(f"`claims_from` is one of {', '.join(_SOURCES)}")
    label = _text(plain, "label", default=parts.hostname or issuer)
    if tidy_name(label) != label:
        raise ConfigurationRefused("`label` is a short name on one line")
    secret = _text(plain, "client_secret_file", default="")
    return IssuerConfiguration(
        issuer=issuer,
        client_id=_text(plain, "client_id"),
        client_secret=_secret(folder / secret) if secret else "",
        label=label,
        scopes=_texts(plain.get("scopes", ["profile"]), "scopes"),
        claim=tuple(steps),
        claims_from=source,
        roles=_roles(plain.get("roles")),
    )


def _text(plain: Mapping[str, Any], name: str, default: str | None = None) -> str:
    found = plain.get(name, default)
    if not isinstance(found, str) or len(found) > _LONGEST or not found.isprintable():
        raise ConfigurationRefused(f"`{name}` is a text on one line, and cannot be left out")
    if default is None and not found:
        raise ConfigurationRefused(f"`{name}` cannot be empty")
    return found


def _texts(found: Any, name: str) -> tuple[str, ...]:
    if not isinstance(found, list) or len(found) > _MOST_VALUES:
        raise ConfigurationRefused(f"`{name}` is a list of texts")
    if not all(isinstance(each, str) and 0 < len(each) <= _LONGEST for each in found):
        raise ConfigurationRefused(f"`{name}` is a list of texts")
    return tuple(found)


def _roles(found: Any) -> dict[str, frozenset[Role]]:
    if not isinstance(found, dict) or not found:
        raise ConfigurationRefused(
            "`[roles]` lists for each role the values of the claim that give it"
        )
    if unknown := sorted(set(found) - set(Role)):
        raise ConfigurationRefused(
            f"unknown roles: {', '.join(unknown)}; there are {', '.join(in_order(Role))}"
        )
    given: dict[str, frozenset[Role]] = {}
    for name, values in found.items():
        for value in _texts(values, f"roles.{name}"):
            given[value] = given.get(value, frozenset()) | {Role(name)}
    return given


def _secret(path: Path) -> str:
    """The client's secret: one line of a file that nobody else may read."""
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            text = stream.read(_LONGEST + 1).decode("ascii").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationRefused(f"the client's secret in {path} cannot be read") from error
    if status.st_mode & 0o077:
        raise ConfigurationRefused(
            f"{path} can be read by other users: chmod 600 it, and have a new secret made"
        )
    if not 0 < len(text) <= _LONGEST or not text.isprintable() or text != text.strip():
        raise ConfigurationRefused(f"{path} holds no secret of one line")
    return text
