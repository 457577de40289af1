"""A town whose campaigns are `encrypted`: its keyholder, its trustees, and what they may not say.

`cells` are public and without noise: exactly all ones, or a contribution is missing or doubled.
`marks` carry noise: five small numbers out of every capsule's mark, large enough that neither a
worker's part nor their exact total is anywhere by chance. What passes between the scheduler and
helper and keyholder passes through the test, which keeps every answer.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from mortals import pause, until
from passage import Passage
from town import CAPSULES, CELLS, HOSTS, MANIFEST, MARKS, RHO, Town, founded

from loopback.processes import FRONT_DOOR
from loopback.territory import TRUSTEES, TRUSTEES_NEEDED
from trust import schema
from trust.documents.aggregation import AggregateShare
from trust.documents.custody import AggregateOpened
from trust.dsse import Envelope
from trust.ids import CampaignId, Digest
from trust.log.entry import Kind
from wire.aggregation import COMMIT, CommitAnswer
from wire.custody import OPEN, OpeningAnswer

D = TypeVar("D")
LIMBS = 5
LEAST = HOSTS - 1  # workers, and their operators
PROTECTED = "encrypted"
CAMPAIGNS = 100
SECONDS = 90.0

ALGORITHM = f'''\
import numpy as np


def contribute(capsule, parameters):
    """A one in the capsule's own cell, and its mark in small numbers."""
    cells = np.zeros({CELLS}, np.int64)
    cells[int(capsule["numbers"]["number"][0])] = 1
    for _ in range(20):
        np.linalg.svd(np.ones((120, 120)))
    mark = int(capsule["numbers"]["mark"][0])
    marks = np.array([mark >> 8 * limb & 255 for limb in range({LIMBS})], np.int64)
    return {{"cells": cells, "marks": marks}}


def conclude(aggregate, parameters):
    return {{"cells": aggregate["cells"], "marks": aggregate["marks"]}}
'''


def _manifest() -> str:
    head, _, rest = MANIFEST.partition("[release.marks]")
    report = rest[rest.index("[report.cells]") :]
    report = report.replace("[report.marks]\nshape = [1]", f"[report.marks]\nshape = [{LIMBS}]")
    report = report.replace('labels = [["sum"]]', 'labels = [["1", "2", "3", "4", "5"]]')
    marks = f"""\
[release.marks]
shape = [{LIMBS}]
dtype = "int64"
step = 1
clip = {{ norm = "linf", bound = 255 }}
unit = "owner"
protection = "clear"
noise = {{ mechanism = "discrete_gaussian", rho = "{RHO}" }}
minimum_contributors = {CAPSULES}
maximum_contributors = 1000
minimum_workers = {LEAST}
minimum_operators = {LEAST}
"""
    # One report fewer would still be a batch of its own: only its being the second forbids it.
    head = head.replace(f"minimum_workers = {HOSTS}", f"minimum_workers = {LEAST}")
    head = head.replace(f"minimum_operators = {HOSTS}", f"minimum_operators = {LEAST}")
    return head + marks + report


def limbs(marks: list[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """[5]: the sum of what these capsules contribute to `marks`."""
    return np.array([sum(mark >> 8 * limb & 255 for mark in marks) for limb in range(LIMBS)])


def spellings(steps: np.ndarray[Any, np.dtype[np.int64]]) -> Iterator[bytes]:
    """How these numbers would lie in a file or in memory."""
    # As this machine holds them first, then as files may.
    for kind in ("<i8", "<f8", ">i8", ">f8"):
        yield steps.astype(kind).tobytes()
    yield ", ".join(map(str, steps.tolist())).encode()
    yield ",".join(map(str, steps.tolist())).encode()


def canaries() -> Iterator[bytes]:
    """What a capsule holds or a worker sums up, in every spelling."""
    yield str(MARKS[0])[:-2].encode()  # all marks begin alike
    yield MARKS[0].to_bytes(8, "little")[1:]
    yield MARKS[0].to_bytes(8, "big")[:7]
    # The marks differ in their lowest byte only: the other four numbers are the same everywhere.
    yield from spellings(limbs(MARKS[:1])[1:])
    yield from spellings(limbs(MARKS[:CAPSULES])[1:])


CANARIES = tuple(canaries())
EXACT = limbs(MARKS)
TOTALS = tuple(spellings(EXACT[1:]))
# A gigabyte is searched for each of these.
IN_MEMORY = (
    *CANARIES[:2],
    *(
        said
        for marks in (MARKS[:1], MARKS[:CAPSULES], MARKS)
        for said in islice(spellings(limbs(marks)[1:]), 2)
    ),
)
assert MARKS[0] % 256 + CELLS <= 256
assert MARKS[0] % 100 + CELLS <= 100


class CipherTown(Town):
    """Processes of a territory whose sums are encrypted."""

    manifest, algorithm = _manifest(), ALGORITHM

    def __init__(self, home: Path, campaigns: int, protection: str) -> None:
        super().__init__(home, campaigns, protection)
        self.to_helper = Passage(self.grid.ports["helper"])
        self.to_keyholder = Passage(self.grid.ports["keyholder"])

    @property
    def asked(self) -> tuple[str, str]:
        return self.to_helper.url, self.to_keyholder.url

    @property
    def trustees(self) -> list[Path]:
        """The trustees' folders."""
        return [self.grid.trustee(number) for number in range(1, TRUSTEES + 1)]

    def waits_for(self, campaign: str, word: str) -> bool:
        """Whether it waits for what has `word` in its code."""
        view = self.view(campaign)
        told = [str(view.get("reason", "")), *map(str, view.get("rounds", ()))]
        return any(word in part for part in told)

    def until_waiting(self, campaign: str, word: str) -> None:
        """Raises TooLate where it does not come to wait for `word`."""
        until(f"{campaign} waits for {word}", lambda: self.waits_for(campaign, word), SECONDS)

    def hold_ceremony(self, campaign: str) -> None:
        """The ceremony, by the command line."""
        self.until_waiting(campaign, "ceremony")
        self.grid.hold_ceremony(campaign)

    def start_keyed(self) -> str:
        """A campaign whose ceremony was held."""
        campaign = self.start()
        self.hold_ceremony(campaign)
        return campaign

    def contribute(self, number: int) -> int:
        """One trustee answers what waits; how many have by then, 0 where nothing waited."""
        done = self.mortals.attempt(*self.contribute_words(number))
        if done.returncode:
            return 0
        told = json.loads(done.stdout or "[]")
        return int(told[-1]["trustees"]) if told else 0

    def gather(self, campaign: str, numbers: tuple[int, ...] = (1, 2, 3)) -> None:
        """Trustees answer until it is opened; whoever was forgotten is asked again."""

        def opened() -> bool:
            for number in numbers:
                self.contribute(number)
            return not self.waits_for(campaign, "trustees")

        self.until_waiting(campaign, "trustees")
        until(f"{campaign} is opened", opened, SECONDS)

    def errand_killed(self, seconds: float, *words: str | Path) -> bool:
        """A command that gets SIGKILL after `seconds`; False where it was done by then."""
        log = (self.mortals.logs / "errands.log").open("ab")
        command = [sys.executable, str(FRONT_DOOR), *map(str, words)]
        errand = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        pause(seconds)
        done = errand.poll() is not None
        if not done:
            os.killpg(errand.pid, signal.SIGKILL)
        errand.wait()
        return not done

    def errand_crashed(self, *words: str | Path) -> None:
        """A command that gets SIGABRT as soon as it has closed its memory, or is done by then."""
        errand = subprocess.Popen(
            [sys.executable, str(FRONT_DOOR), *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        limits = Path(f"/proc/{errand.pid}/limits")
        closed = re.compile(r"Max core file size +0 ")
        while errand.poll() is None and not closed.search(limits.read_text()):
            pass
        if errand.poll() is None:
            # A moment later it holds its keys.
            pause(0.02)
            errand.send_signal(signal.SIGABRT)
        errand.wait()

    def ceremony_words(self, campaign: str) -> tuple[str | Path, ...]:
        """The ceremony as its operator types it."""
        sheets = [folder.with_suffix(".trustee") for folder in self.trustees]
        state = ("--state", self.home / "keyholder", "--root", self.grid.root)
        return (
            *("keyholder", "ceremony", campaign, *state, "--site", self.grid.site),
            *("--trustee", *sheets),
        )

    def contribute_words(self, number: int) -> tuple[str | Path, ...]:
        """What a trustee types."""
        return (
            *("trustee", "contribute", "--state", self.grid.trustee(number)),
            *("--root", self.grid.root, "--site", self.grid.site),
            *("--keyholder", self.grid.keyholder),
        )

    def wait_up(self, *names: str) -> None:
        """Until the servers `names` answer."""
        for name in names:
            self.mortals.wait_until(name, self.mortals.answers(self.grid.ports[name]))

    def require_exact(self, campaign: str) -> None:
        """Released; every capsule exactly once; the marks under one noise."""
        view = self.follow(campaign)
        assert view["state"] == "released", view
        arrays = self.run("campaign", "report", campaign, "--as", self.grid.operator)["arrays"]
        assert arrays["cells"]["cells"] == [1] * CELLS, arrays
        assert arrays["marks"]["cells"] != EXACT.tolist()

    def require_one_draw(self) -> None:
        """Whatever was asked again got the same bytes: one opening and one draw per campaign."""
        opened: dict[CampaignId, set[bytes]] = {}
        for one in self.to_keyholder.answered(OPEN):
            answer = schema.decode(OpeningAnswer, one.answer)
            said = _payload(AggregateOpened, answer.opened)
            assert said.values == Digest.of(answer.values)
            opened.setdefault(said.campaign, set()).add(answer.opened)
        masks: dict[CampaignId, set[bytes]] = {}
        for one in self.to_helper.answered(COMMIT):
            sums = schema.decode(CommitAnswer, one.answer)
            half = _payload(AggregateShare, sums.share)
            assert half.values == Digest.of(sums.values)
            masks.setdefault(half.campaign, set()).add(sums.share)
        for answers in (opened, masks):
            assert set(answers) == set(self.campaigns)
            assert {len(different) for different in answers.values()} == {1}

    def require_logged_once(self) -> None:
        """One key, one batch, one opening, one release per campaign; nobody refused anything."""
        campaigns, kinds = len(self.campaigns), Counter[Kind]()

        def ended() -> bool:
            kinds.clear()
            kinds.update(self.kinds())
            return min(kinds[Kind.KEY_DESTROYED], kinds[Kind.EPOCH_RETIRED]) == campaigns

        until("every key is destroyed", ended, SECONDS)
        once = (
            *(Kind.HELPER_KEY, Kind.EPOCH_KEY, Kind.BATCH, Kind.OPENED, Kind.OPENING),
            *(Kind.SHARE_REQUEST, Kind.RELEASE, Kind.KEY_DESTROYED, Kind.EPOCH_RETIRED),
        )
        assert {kind: kinds[kind] for kind in once} == dict.fromkeys(once, campaigns)
        assert kinds[Kind.SHARE] == 2 * campaigns  # leader and helper
        assert kinds[Kind.TRUSTEE_SHARE] >= TRUSTEES_NEEDED * campaigns
        assert kinds[Kind.REFUSAL] == 0


def _payload(kind: type[D], raw: bytes) -> D:
    return schema.decode(kind, Envelope.parse(raw).payload)


@contextmanager
def cipher_town() -> Iterator[CipherTown]:
    """A founded one, as `founded` says."""
    with founded(CipherTown, CAMPAIGNS, PROTECTED) as made:
        try:
            yield made
        finally:
            made.to_helper.close()
            made.to_keyholder.close()
