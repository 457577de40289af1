"""The privacy ledger: what every owner has spent, in zCDP, before anything runs."""

from capsule_runtime.ledger.book import DEFAULT_CAP, FILE_NAME, Charge, Ledger, Reservation
from capsule_runtime.ledger.chain import Checkpoint, MissingRound, account_of

__all__ = [
    "DEFAULT_CAP",
    "FILE_NAME",
    "Charge",
    "Checkpoint",
    "Ledger",
    "MissingRound",
    "Reservation",
    "account_of",
]
