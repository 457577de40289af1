"""All tables; importing this package completes the metadata."""

from scheduler.store.tables.actions import AccountRow, ActionRow
from scheduler.store.tables.campaigns import AttemptRow, CampaignRow, RoundRow, UnitRow
from scheduler.store.tables.documents import (
    AuthorisationRow,
    BlobRow,
    BundleRow,
    CapsuleRow,
    CheckpointRow,
    CommitmentRow,
    ConsentRow,
    LogRow,
    RestrictedRow,
)
from scheduler.store.tables.members import (
    ExchangeRow,
    InstallationRow,
    MemberRow,
    TokenRow,
    WorkerRow,
)
from scheduler.store.tables.signin import (
    WebAuthorRow,
    WebCredentialRow,
    WebDepartureRow,
    WebSessionRow,
)

__all__ = [
    "AccountRow",
    "ActionRow",
    "AttemptRow",
    "AuthorisationRow",
    "BlobRow",
    "BundleRow",
    "CampaignRow",
    "CapsuleRow",
    "CheckpointRow",
    "CommitmentRow",
    "ConsentRow",
    "ExchangeRow",
    "InstallationRow",
    "LogRow",
    "MemberRow",
    "RestrictedRow",
    "RoundRow",
    "TokenRow",
    "UnitRow",
    "WebAuthorRow",
    "WebCredentialRow",
    "WebDepartureRow",
    "WebSessionRow",
    "WorkerRow",
]
