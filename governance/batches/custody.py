"""A key epoch as its signed document tells it, for the layers of protection.custody."""

from __future__ import annotations

from protection.custody import KeyEpoch
from protection.shamir import Dealing
from trust.documents.custody import EpochKey


def epoch_of(document: EpochKey) -> KeyEpoch:
    """What every layer of this epoch's custody is bound to."""
    return KeyEpoch(document.territory, document.epoch, document.profile)


def dealing_of(document: EpochKey) -> Dealing:
    """The commitments that shares of this epoch are held against."""
    return Dealing(
        context=epoch_of(document).context,
        threshold=document.threshold,
        shares=document.shares,
        secret=document.secret,
    )
