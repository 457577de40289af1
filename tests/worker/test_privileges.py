"""Never as root, never silently as somebody else."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from worker import privileges, staging
from worker.errors import StateUnreadable, StillRoot, UserMissing
from worker.privileges import Account

ROOT = Path(__file__).parents[2]


@dataclass
class FakeHost:
    """A machine with these users."""

    uid: int = 0
    accounts: dict[str, Account] = field(default_factory=dict)
    stubborn: bool = False

    def effective_uid(self) -> int:
        return self.uid

    def account(self, name: str) -> Account | None:
        return self.accounts.get(name)

    def become(self, account: Account) -> None:
        if not self.stubborn:
            self.uid = account.uid


WORKER = Account("cadastre-worker", 990, 990)


def test_an_ordinary_user_stays_that_user() -> None:
    host = FakeHost(uid=1000)
    assert privileges.dedicated(host) is None
    privileges.drop(host, None)
    assert host.uid == 1000


def test_root_becomes_the_dedicated_user() -> None:
    host = FakeHost(accounts={WORKER.name: WORKER})
    account = privileges.dedicated(host)
    assert account == WORKER
    privileges.drop(host, account)
    assert host.uid == 990


def test_root_may_name_another_user() -> None:
    other = Account("someone", 1234, 1234)
    assert privileges.dedicated(FakeHost(accounts={"someone": other}), "someone") == other


def test_a_missing_user_says_how_to_make_one() -> None:
    with pytest.raises(UserMissing) as caught:
        privileges.dedicated(FakeHost())
    assert caught.value.remedy == (
        "useradd --system --no-create-home --shell /usr/sbin/nologin cadastre-worker"
    )


@pytest.mark.parametrize("account", [Account("toor", 0, 5), Account("wheel", 5, 0)])
def test_the_dedicated_user_is_not_root(account: Account) -> None:
    with pytest.raises(StillRoot):
        privileges.dedicated(FakeHost(accounts={account.name: account}), account.name)


def test_whatever_happens_nothing_goes_on_as_root() -> None:
    with pytest.raises(StillRoot):
        privileges.drop(FakeHost(accounts={WORKER.name: WORKER}, stubborn=True), WORKER)
    with pytest.raises(StillRoot):
        privileges.drop(FakeHost(), None)


def test_the_state_directory_is_ours_and_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    privileges.require_own(tmp_path, os.geteuid())
    with pytest.raises(StateUnreadable):
        privileges.require_own(tmp_path, os.geteuid() + 1)
    tmp_path.chmod(0o750)
    with pytest.raises(StateUnreadable):
        privileges.require_own(tmp_path, os.geteuid())
    with pytest.raises(StateUnreadable):
        privileges.require_own(tmp_path / "missing", os.geteuid())


@pytest.mark.processes
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_really_becomes_somebody_else_for_good() -> None:
    program = (
        "import os; from worker.privileges import *;"
        "host = ThisHost(); drop(host, Account('x', 64125, 64125));"
        "print(os.getresuid(), os.getresgid(), os.getgroups())\n"
        "try: os.setuid(0)\n"
        "except PermissionError: print('for good')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, cwd=ROOT
    )
    assert done.stdout.decode().splitlines() == [
        "(64125, 64125, 64125) (64125, 64125, 64125) []",
        "for good",
    ]


@pytest.mark.processes
def test_a_staged_program_runs_the_agents_command_line() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        home = staging.stage(Path(folder) / "program")
        assert staging.stage(Path(folder) / "program") == home
        program = (
            "import os, sys, worker.program, worker.cli, capsule_runtime.broker.boot;"
            "print(worker.program.__file__, capsule_runtime.broker.boot.__file__)"
        )
        drop = {"user": 64125, "group": 64125} if os.geteuid() == 0 else {}
        done = subprocess.run(
            ["/usr/bin/python3.11", "-s", "-S", "-c", program],
            capture_output=True,
            check=False,
            cwd="/",
            env={"PYTHONPATH": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
            **drop,  # type: ignore[call-overload]
        )
        assert done.returncode == 0, done.stderr.decode()
        assert all(path.startswith(str(home)) for path in done.stdout.decode().split())


def test_two_workers_that_start_at_once_share_the_copy_that_was_first(tmp_path: Path) -> None:
    home, building = tmp_path / "home", tmp_path / "building"
    for place in (home, building):
        place.mkdir(mode=0o755)
        (place / "made by").write_text(place.name)
    staging._settle(building, home)
    assert (home / "made by").read_text() == "home"
    home.rename(tmp_path / "elsewhere")
    staging._settle(building, home)
    assert (home / "made by").read_text() == "building"
    with pytest.raises(FileNotFoundError):
        staging._settle(building, tmp_path / "another")


@pytest.mark.processes
def test_the_agent_needs_neither_numpy_nor_pydantic() -> None:
    program = (
        "import sys, worker.program, worker.cli, worker.joining, worker.privileges,"
        "worker.staging, capsule_runtime.sandbox.image;"
        "print(sorted({'numpy', 'pydantic', 'protection', 'jobs.schema'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, cwd=ROOT
    )
    assert done.stdout.decode().strip() == "[]"
