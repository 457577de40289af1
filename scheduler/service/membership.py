"""Tokens, enrolment and renewal: how somebody gets and keeps a certificate."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from sqlmodel import select

from scheduler.domain.backoff import Quota
from scheduler.errors import InputRefused, NotEnrolled, ProofRefused, TokenRefused
from scheduler.service import outbox
from scheduler.service.desk import Desk
from scheduler.service.units import day_of
from scheduler.store.store import Store, Transaction
from scheduler.store.tables import MemberRow, TokenRow, WorkerRow
from trust import certificates
from trust.certificates import Peer, Role
from trust.documents import signed
from trust.documents.membership import Enrolled, EnrolmentProof
from trust.dsse import MAXIMUM_ENVELOPE_BYTES
from trust.entropy import Entropy
from trust.errors import Malformed, SignatureInvalid, WrongType
from trust.ids import Digest, WorkerId
from trust.log.entry import Kind

SECRET_BYTES = 32
MAXIMUM_REQUEST_BYTES = 16 * 1024  # a P-256 request has about 300
MAXIMUM_NAME = 64
_PERSON = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
TOKEN_ROLES = frozenset({Role.WORKER, Role.OPERATOR, Role.AUTHOR, Role.AUDITOR})


@dataclass(frozen=True)
class Admission:
    """What an enrolled or renewed member gets."""

    certificate: bytes  # DER
    name: str
    role: Role
    work_address: str


def create_token(
    store: Store,
    entropy: Entropy,
    life: float,
    *,
    role: str,
    operator: str,
    site: str,
    concludes: bool = False,
) -> tuple[bytes, TokenRow]:
    """A fresh secret (shown once, stored hashed) and its row. Raises InputRefused.

    `concludes`: the worker that uses it may write reports out of aggregates.
    """
    if role not in {choice.value for choice in TOKEN_ROLES}:
        raise InputRefused(
            f"{role[:40]!r} is not a role for a token",
            remedy=f"use one of {', '.join(sorted(TOKEN_ROLES))}",
        )
    if role != Role.WORKER and (
        not _PERSON.fullmatch(operator) or operator.startswith(f"{WorkerId.prefix}_")
    ):
        raise InputRefused(
            f"{operator[:64]!r} cannot name a certificate",
            remedy="use lower-case letters, digits, dots, dashes or underscores, "
            "and leave names that begin with wrk_ to workers",
        )
    for what, text in (("operator", operator), ("site", site)):
        if not text or len(text) > MAXIMUM_NAME or not text.isprintable():
            raise InputRefused(f"the {what} has 1 to {MAXIMUM_NAME} printable characters")
    if concludes and role != Role.WORKER:
        raise InputRefused("only a worker concludes", remedy="leave --concludes out")
    secret = entropy(SECRET_BYTES)
    digest = Digest.of(secret)

    def insert(tx: Transaction) -> TokenRow:
        row = TokenRow(
            digest=digest,
            role=role,
            operator=operator,
            site=site,
            concludes=concludes,
            expires_at=tx.now + timedelta(seconds=life),
        )
        tx.session.add(row)
        return row

    return secret, store.run("create-token", insert)


async def enrol(desk: Desk, secret: bytes, request: bytes, proof: bytes) -> Admission:
    """Exchange a token for membership. Raises TokenRefused, ProofRefused, CertificateRefused.

    The same key may ask again until the token expires, so that a lost answer costs nothing.
    """
    if len(secret) != SECRET_BYTES:
        raise TokenRefused("the token's secret has 32 bytes", remedy="copy the whole token")
    if not request or len(request) > MAXIMUM_REQUEST_BYTES or len(proof) > MAXIMUM_ENVELOPE_BYTES:
        raise InputRefused("the certificate request or the proof has an impossible size")
    checked = _proof(proof)
    document = checked.document
    if document.token != Digest.of(secret) or document.request != Digest.of(request):
        raise ProofRefused(
            "the proof is about another token or another certificate request",
            remedy="join again; do not reuse files of an earlier attempt",
        )

    def admit(tx: Transaction) -> tuple[Role, str]:
        token = tx.session.get(TokenRow, str(document.token))
        if token is None:
            raise TokenRefused(
                "the token is unknown here", remedy="ask the operator for a fresh token"
            )
        again = token.used_key == str(document.key)
        if token.used_by is not None and not again:
            raise TokenRefused("the token was used", remedy="ask the operator for a fresh token")
        if tx.now >= token.expires_at:
            raise TokenRefused("the token has expired", remedy="ask the operator for a fresh token")
        if (document.operator, document.site) != (token.operator, token.site):
            raise ProofRefused("the proof names another operator or site than the token")
        role = Role(token.role)
        name = str(document.key.worker_id) if role is Role.WORKER else token.operator
        _require_free(tx, name, role, str(document.key))
        if not again:
            _admit(tx, desk, token, document, name)
            token.used_by, token.used_key = name, str(document.key)
        return role, name

    role, name = await desk.run("enrol", admit)
    return _certify(desk, request, role, name)


async def renew(desk: Desk, peer: Peer, request: bytes) -> Admission:
    """A fresh certificate for the caller. Raises NotEnrolled, CertificateRefused."""
    if not request or len(request) > MAXIMUM_REQUEST_BYTES:
        raise InputRefused("the certificate request has an impossible size")
    row = await desk.look("read-member", lambda tx: tx.session.get(MemberRow, peer.name))
    if row is None or row.banned_at is not None or row.role != peer.role.value:
        raise NotEnrolled(
            f"{peer.name} is not a member here", remedy="join again with a fresh token"
        )
    return _certify(desk, request, peer.role, peer.name)


def _proof(raw: bytes) -> signed.Signed[EnrolmentProof]:
    try:
        return signed.verify_self_named(EnrolmentProof, raw, "key")
    except (Malformed, SignatureInvalid, WrongType) as error:
        raise ProofRefused(
            f"the enrolment proof does not hold: {error.sentence}",
            remedy="join again with this release of the program",
        ) from error


def _require_free(tx: Transaction, name: str, role: Role, key: str) -> None:
    """Name, key and role belong together for good. Raises NotEnrolled.

    Asked whenever somebody enrols, for the second time with one token too: who was excluded in
    between must not get a fresh certificate.
    """
    remedy = "choose another operator name, or ask the operator why"
    row = tx.session.get(MemberRow, name)
    if row is not None and (row.banned_at is not None or row.key != key):
        raise NotEnrolled(
            f"{name} is already a member with another key, or was excluded", remedy=remedy
        )
    if row is not None and row.role != role.value:
        raise NotEnrolled(f"{name} is already a member in another role", remedy=remedy)
    query = select(MemberRow.name).where(MemberRow.key == key, MemberRow.name != name)
    if tx.session.exec(query).first() is not None:
        raise NotEnrolled("the key is already another member's", remedy="join with a fresh key")


def _admit(
    tx: Transaction, desk: Desk, token: TokenRow, document: EnrolmentProof, name: str
) -> None:
    row = tx.session.get(MemberRow, name)
    if row is None:
        row = MemberRow(
            name=name,
            role=token.role,
            key=str(document.key),
            hpke=document.hpke,
            operator=token.operator,
            site=token.site,
            enrolled_at=tx.now,
        )
        tx.session.add(row)
        tx.session.flush()
    row.operator, row.site, row.concludes = token.operator, token.site, token.concludes
    if token.role != Role.WORKER:
        return
    if tx.session.get(WorkerRow, name) is None:
        quota = Quota.fresh(day_of(tx.now))
        tx.session.add(
            WorkerRow(
                name=name, level="", libraries="", quota_daily=quota.daily, quota_day=quota.day
            )
        )
    event = Enrolled(
        territory=desk.territory,
        worker=WorkerId(name),
        key=document.key,
        operator=token.operator,
        site=token.site,
        enrolled_at=tx.now,
    )
    row.enrolment = outbox.publish(tx, desk, Kind.ENROLMENT, signed.sign(event, [desk.orders]))


def _certify(desk: Desk, request: bytes, role: Role, name: str) -> Admission:
    leaf = certificates.issue(
        desk.authority.key,
        desk.authority.certificate,
        request,
        territory=desk.territory,
        role=role,
        name=name,
        now=desk.now(),
    )
    return Admission(certificates.to_der(leaf), name, role, desk.work_address)
