"""What the pages' sign-in remembers: sessions, tokens and keys, ways to the identity provider.

Digests of secrets, never a secret. The port is `web.signin.stores`; these tables know nothing of
it, so that a scheduler without pages has the same schema.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import SQLModel

from scheduler.store.columns import flag, moment, raw, words


class WebSessionRow(SQLModel, table=True):
    """One sign-in of one browser."""

    __tablename__ = "web_session"
    __table_args__ = ({"comment": "who is signed in to the pages"},)

    id: str = words("sess_…", key=True)
    digest: bytes = raw("sha256 of the cookie's secret")
    subject: str = words("who, as the identity provider or this machine calls them", index=True)
    name: str = words("only for showing")
    roles: str = words("space-separated")
    means: str = words("how they proved who they are")
    proved: datetime = moment("when they did")
    started: datetime = moment("when it began")
    seen: datetime = moment("last sign of the person")
    ends: datetime = moment("over from then on")


class WebCredentialRow(SQLModel, table=True):
    """One token or key; used and revoked ones stay until they expire."""

    __tablename__ = "web_credential"
    __table_args__ = ({"comment": "tokens and keys for the pages"},)

    id: str = words("cred_…", key=True)
    kind: str = words("start, invitation, key or api")
    digest: bytes = raw("sha256 of its secret")
    subject: str = words("whom it signs in", index=True)
    name: str = words("only for showing")
    roles: str = words("space-separated")
    label: str = words("what its owner calls it")
    issued_by: str = words("who made it")
    issued: datetime = moment("when")
    expires: datetime = moment("not good from then on")
    used: datetime | None = moment("when it was last used", optional=True)
    revoked: datetime | None = moment("taken back since", optional=True)


class WebDepartureRow(SQLModel, table=True):
    """Somebody on their way to the identity provider."""

    __tablename__ = "web_departure"
    __table_args__ = ({"comment": "sign-ins that wait for the identity provider"},)

    id: str = words("dep_…", key=True)
    digest: bytes = raw("sha256 of the state's secret")
    door: bytes = raw("sha256 of the browser's secret")
    issuer: str = words("where they went")
    back_to: str = words("the page that they came from")
    fresh: bool = flag("they must prove anew who they are")
    left: datetime = moment("when they left", index=True)


class WebAuthorRow(SQLModel, table=True):
    """An account follows the bundles of an author key; an operator says which."""

    __tablename__ = "web_author"
    __table_args__ = ({"comment": "author keys whose bundles an account sees"},)

    subject: str = words("who, as the identity provider or this machine calls them", key=True)
    key: str = words("author's public key", key=True)
    tied_by: str = words("who said so")
    tied_at: datetime = moment("when")
