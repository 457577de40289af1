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
from scheduler.store.tables.efforts import EffortRow, SampleRow
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
    "EffortRow",
    "ExchangeRow",
    "InstallationRow",
    "LogRow",
    "MemberRow",
    "RestrictedRow",
    "RoundRow",
    "SampleRow",
    "TokenRow",
    "UnitRow",
    "WebAuthorRow",
    "WebCredentialRow",
    "WebDepartureRow",
    "WebSessionRow",
    "WorkerRow",
]
