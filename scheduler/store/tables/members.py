"""Who takes part: the installation itself, tokens, members, workers and their exchanges."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import SQLModel

from scheduler.store.columns import flag, moment, raw, whole, words


class InstallationRow(SQLModel, table=True):
    """One row: which territory this database serves and how late it has ever been."""

    __tablename__ = "installation"
    __table_args__ = ({"comment": "one row: the territory and its clock"},)

    id: int = whole("always 1", key=True)
    territory: str = words("DNS-like name of the territory")
    clock_mark: datetime = moment("highest moment given out; time never goes below it")
    clock_held: bool = flag("true once an operator asked to start in spite of the clock")


class TokenRow(SQLModel, table=True):
    """An enrolment token: only the hash of its secret is known here."""

    __tablename__ = "token"
    __table_args__ = ({"comment": "one-time enrolment tokens"},)

    digest: str = words("sha256 of the 32-byte secret", key=True)
    role: str = words("role of the certificate that it is exchanged for")
    operator: str = words("who answers for the machine; the name of a person's certificate")
    site: str = words("where the machine stands")
    concludes: bool = flag("its worker may conclude", default=False)
    expires_at: datetime = moment("not accepted from then on")
    used_by: str | None = words("member that used it", optional=True)
    used_key: str | None = words("its public key: the same one may ask again", optional=True)


class MemberRow(SQLModel, table=True):
    """A holder of certificates: a worker, an operator, an author or an auditor."""

    __tablename__ = "member"
    __table_args__ = ({"comment": "holders of certificates"},)

    name: str = words("wrk_… of a worker, else the operator's name", key=True)
    role: str = words("role of its certificates")
    key: str = words("Ed25519 public key that signs its documents", unique=True)
    hpke: bytes = raw("X25519 public key for what is sealed to it")
    operator: str = words("who answers for it")
    site: str = words("where it is")
    concludes: bool = flag("the operator named it to conclude", default=False)
    enrolled_at: datetime = moment("when")
    enrolment: str | None = words("digest of its Enrolled envelope in the log", optional=True)
    banned_at: datetime | None = moment("its certificates are denied since", optional=True)
    banned_because: str | None = words("why, for operators", optional=True)


class WorkerRow(SQLModel, table=True):
    """What a worker last said of itself, and its quota."""

    __tablename__ = "worker"
    __table_args__ = ({"comment": "live view of workers"},)

    name: str = words("the member", key=True, of="member.name")
    last_seen: datetime | None = moment("last exchange", optional=True)
    sequence: int = whole("number of its last accepted report batch", default=0)
    slots: int = whole("attempts that it can start now", default=0)
    level: str = words("sandbox level of its self-test")
    image: str | None = words("digest of its runtime image (a claim)", optional=True)
    libraries: str = words("space-separated names")
    images: str = words("images of its runtimes beyond the base: library=digest", default="")
    contributes: bool = flag("hosts capsules")
    concludes: bool = flag("says that it concludes")
    draining: bool = flag("its keeper wants nothing new")
    drained_at: datetime | None = moment(
        "an operator lets it take nothing new since", optional=True
    )
    quota_daily: int = whole("attempts a day")
    quota_used: int = whole("attempts leased on quota_day", default=0)
    quota_day: int = whole("days since 1970", default=0)


class ExchangeRow(SQLModel, table=True):
    """One exchange: the answer to (worker, sequence) is given again byte for byte."""

    __tablename__ = "exchange"
    __table_args__ = ({"comment": "idempotent exchanges; the last few per worker are kept"},)

    worker: str = words("the worker", key=True, of="worker.name")
    sequence: int = whole("number of the report batch", key=True)
    request: str = words("digest of the report batch's envelope")
    acknowledgements: bytes = raw("JSON list, what the reports came to; fixed at acceptance")
    answer: bytes | None = raw("the whole ExchangeResponse; NULL while polling", optional=True)
    created_at: datetime = moment("when the batch was accepted")
