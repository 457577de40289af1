"""The whole path from an order to a signed partial, in real processes and the real sandbox."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from known import known_images

from jobs.libraries import LIBRARIES

pytestmark = [pytest.mark.sandbox, pytest.mark.processes]
ROOT = Path(__file__).parents[2]
# Root hands everything to a user who needs no entry in any file; others stay who they are.
UNPRIVILEGED = 64124


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    drop: dict[str, Any] = {}
    if os.geteuid() == 0:
        drop = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []}
    done = subprocess.run(
        [sys.executable, "-B", str(Path(__file__).with_name("scenarios.py"))],
        input=known_images(),
        capture_output=True,
        check=False,
        timeout=300,
        cwd="/",
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "HOME": "/nonexistent"},
        **drop,
    )
    assert done.returncode == 0, done.stderr.decode()
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_a_unit_becomes_a_signed_partial(seen: dict[str, Any]) -> None:
    found = seen["contributes"]
    assert found["outcome"] == "contributed"
    assert found["capsules"] == found["contributors"] == found["charged"] == 30
    assert (found["rho"], found["variances"]) == ("0.1", {"flows": "5"})
    assert found["last_step"] == [30, 30]
    assert found["level"] in {"L2", "L3"}
    # 486 cells of variance 5: the mean square is within 5 +- 6 deviations (5 sqrt(2/486)).
    assert 3.0 < found["noise_variance"] < 7.0


def test_a_second_attempt_replays_the_same_bytes(seen: dict[str, Any]) -> None:
    assert seen["contributes"]["replayed"]


def test_conclude_reads_the_aggregate(seen: dict[str, Any]) -> None:
    found = seen["contributes"]
    assert found["concluded"] == "concluded"
    assert found["result"] == ["flows", "flows_lower", "flows_upper"]
    assert found["result_digest_holds"]


def test_an_owner_who_withdraws_in_the_middle_is_not_in_the_sum(seen: dict[str, Any]) -> None:
    assert seen["withdraws"] == {"capsules": 29, "charged": 30}


def test_a_cancelled_unit_releases_nothing_and_one_whose_broker_is_killed_is_done_by_the_next(
    seen: dict[str, Any],
) -> None:
    found = seen["stops"]
    assert found["cancelled"] == "run-cancelled"
    assert found["nothing_kept"]
    assert (found["killed"], found["done"], found["capsules"]) == (1, "contributed", 30)
    assert found["charged"] == [30, 30]
    assert found["renewed"], "a new broker proves its sandbox again"


def test_what_the_scheduler_may_not_do(seen: dict[str, Any]) -> None:
    assert seen["refuses"] == {
        "altered bundle": "refused bundle-altered",
        "altered parameters": "refused parameters-altered",
        "no exhibits": "refused exhibit-missing",
        "replayed": "refused order-replayed",
        "expired lease": "refused lease-expired",
        "two plans": "refused two-plans",
        "no status": "refused two-plans",
    }


def test_an_encrypted_unit_runs_in_the_confined_broker(seen: dict[str, Any]) -> None:
    """TenSEAL under the broker's seccomp filter.

    Measured: 60 MiB resident before the unit, 71 after it, and after 60 of them.
    """
    found = seen["encrypts"]
    assert (found["outcome"], found["protection"]) == ("contributed", "encrypted")
    assert found["exact"], "helper and keyholder together see the sum"
    assert found["replayed"]
    assert found["digests"]
    assert found["variances"] == {"flows": "0"}
    assert {"numpy", "tenseal"} <= set(found["libraries"]) <= {*LIBRARIES, "tenseal"}
    before, after = found["resident"]
    assert after - before < 40


def test_nobody_is_charged_when_nobody_or_too_few_consent(seen: dict[str, Any]) -> None:
    assert seen["nobody"] == {"reason": "nobody-eligible", "few": "cohort-too-small", "charged": 0}


def test_a_ledger_restored_from_a_copy_is_charged_for_everything_since(
    seen: dict[str, Any],
) -> None:
    found = seen["restored"]
    assert found["before"] == 30
    # One splice and thirty gaps; what leaves this worker is rounded up to tens.
    assert found["after"] == 70


def test_a_damaged_ledger_is_not_served(seen: dict[str, Any]) -> None:
    assert seen["restored"]["damaged"] == "database-refused"
