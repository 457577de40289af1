"""Of which CKKS profile a round's masks are: as the keyholder certified it."""

from __future__ import annotations

from governance.batches.errors import HistoryUnreadable, PlanMismatch
from governance.helper.office import Office
from protection.ckks.errors import ProfileUnknown
from protection.ckks.profile import Profile, profile_named
from trust.documents.campaign import Plan
from trust.documents.custody import EpochKey
from trust.documents.governance import Authorisation
from trust.documents.root import Duty
from trust.documents.rules import Protection
from trust.errors import TrustError
from trust.ids import Digest


def profile_of(office: Office, plan: Plan, vote: Authorisation) -> Profile | None:
    """The profile of the key epoch that `plan` names; None where the vote asks for no ciphertexts.

    The certificate is a public object of the log's site, named by the plan. Raises PlanMismatch,
    HistoryUnreadable.
    """
    encrypted = {rule.protection for rule in vote.rules} == {Protection.ENCRYPTED}
    if encrypted != (plan.epoch is not None):
        raise PlanMismatch("the plan and the vote do not agree about a key epoch")
    if plan.epoch is None:
        return None
    raw = office.bundle(plan.epoch)
    if raw is None or Digest.of(raw) != plan.epoch:
        raise HistoryUnreadable("the plan's key epoch cannot be read from the log's site")
    try:
        epoch = office.root.verify(EpochKey, raw, Duty.KEYHOLDER).document
        profile = profile_named(epoch.profile)
    except (TrustError, ProfileUnknown) as error:
        raise PlanMismatch(f"the plan's key epoch is none: {error.sentence}") from error
    about = (epoch.territory, epoch.campaign, epoch.bundle, epoch.authorisation)
    if about != (plan.territory, plan.campaign, plan.bundle, plan.authorisation):
        raise PlanMismatch("the plan's key epoch is another campaign's")
    return profile
