"""The keyholder's answers, one question at a time.

Everything it is told is verified here again, from documents; nothing that the leader, the
helper or a trustee says by itself counts.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from governance.keyholder.epochs import BY_COMMAND, Epochs
from governance.keyholder.office import Office
from governance.keyholder.rounds import Rounds
from governance.keyholder.sessions import Sessions
from trust.ids import CampaignId
from wire.aggregation import EngageRequest
from wire.custody import (
    Contribution,
    ContributionAnswer,
    EndOfEpoch,
    EpochAnswer,
    OpeningAnswer,
    OpeningPreparation,
    OpeningRequest,
    Summonses,
    SummonsRequest,
)


class Keyholder:
    """Safe for many threads: two answers about one round never race."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._epochs = Epochs(office)
        self._sessions = Sessions(office)
        self._rounds = Rounds(office, self._epochs, self._sessions)
        self._turn = threading.Lock()

    def engage(self, request: EngageRequest) -> EpochAnswer:
        """The campaign's public key. Raises CeremonyAwaited, Denied."""
        with self._turn:
            return self._epochs.engage(request)

    def ceremony(self, campaign: CampaignId, trustees: Sequence[bytes]) -> bytes:
        """Make the campaign's key; answers the EpochKey envelope. Raises Denied and others."""
        with self._turn:
            return self._epochs.hold(campaign, trustees)

    def prepare(self, request: OpeningPreparation) -> bytes:
        """An AcceptList envelope. Raises Denied."""
        with self._turn:
            return self._rounds.prepare(request)

    def open(self, request: OpeningRequest) -> OpeningAnswer:
        """The noised steps of a batch. Raises SharesAwaited, Denied."""
        with self._turn:
            return self._rounds.open(request)

    def summons(self, request: SummonsRequest) -> Summonses:
        """Which openings wait for one trustee."""
        with self._turn:
            return Summonses(tuple(self._sessions.summons(request.trustee)))

    def contribute(self, contribution: Contribution) -> ContributionAnswer:
        """Count a trustee's share in. Raises ShareRefused, RequestMalformed."""
        with self._turn:
            session = self._sessions.take(contribution)
            return ContributionAnswer(len(session.shares), session.live.document.threshold)

    def end(self, request: EndOfEpoch) -> bytes:
        """An EpochRetired envelope, for a campaign that has ended. Raises Denied."""
        with self._turn:
            notice = self._epochs.end(request)
            self._drop_retired()
            return notice

    def retire(self, campaign: CampaignId, reason: str = BY_COMMAND) -> bytes:
        """An EpochRetired envelope. Raises Denied."""
        with self._turn:
            notice = self._epochs.retire(campaign, reason)
            self._sessions.drop(campaign)
            return notice

    def expire(self) -> None:
        """Retire the epochs, and forget the openings, whose time is over.

        It waits for nobody's turn: a question lasts as long as the log's site lets its bytes
        drip, and the site is the scheduler's. An opening that is under way is not answered.
        """
        self._epochs.expire()
        self._drop_retired()

    def _drop_retired(self) -> None:
        # The command line may have retired an epoch while this process held shares of it.
        self._sessions.expire()
        for campaign in self._sessions.campaigns():
            epoch = self._office.memory.epoch(campaign)
            if epoch is None or epoch.retired is not None:
                self._sessions.drop(campaign)
