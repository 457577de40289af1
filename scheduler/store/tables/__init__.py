"""All tables; importing this package completes the metadata."""

from scheduler.store.tables.campaigns import AttemptRow, CampaignRow, RoundRow, UnitRow
from scheduler.store.tables.documents import (
    AuthorisationRow,
    BlobRow,
    BundleRow,
    CapsuleRow,
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
from scheduler.store.tables.signin import WebCredentialRow, WebDepartureRow, WebSessionRow

__all__ = [
    "AttemptRow",
    "AuthorisationRow",
    "BlobRow",
    "BundleRow",
    "CampaignRow",
    "CapsuleRow",
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
    "WebCredentialRow",
    "WebDepartureRow",
    "WebSessionRow",
    "WorkerRow",
]
