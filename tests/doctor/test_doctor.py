from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trust.clock import ManualClock, SystemClock
from worker.doctor import ENCRYPTING, Finding, ThisHost, Verdict, examine

pytestmark = pytest.mark.base
NOW = datetime(2026, 11, 22, tzinfo=UTC)


@dataclass
class DescribedHost:
    """A machine in words; the default one is healthy."""

    system: tuple[str, str] = ("Linux", "x86_64")
    files: dict[str, str] = field(default_factory=dict)
    bwrap: str | None = "/usr/bin/bwrap"
    namespace: str = ""
    users: frozenset[str] = frozenset()
    libraries: frozenset[str] = frozenset({"numpy", "torch", "torch_geometric"})
    user: int = 1000
    variables: dict[str, str] = field(default_factory=dict)
    free: int = 50 * 1024**3
    modules: frozenset[str] = frozenset(ENCRYPTING)
    refused: dict[str, str] = field(default_factory=dict)
    time: datetime | None = NOW

    def platform(self) -> tuple[str, str]:
        return self.system

    def read(self, path: Path) -> str | None:
        return self.files.get(str(path))

    def bubblewrap(self) -> str | None:
        return self.bwrap

    def try_namespace(self, bwrap: str) -> str:
        return self.namespace

    def has_module(self, name: str) -> bool:
        return name in self.modules

    def user_exists(self, name: str) -> bool:
        return name in self.users

    def installed(self, library: str) -> bool:
        return library in self.libraries

    def uid(self) -> int:
        return self.user

    def environment(self) -> Mapping[str, str]:
        return self.variables

    def free_bytes(self, path: Path) -> int:
        return self.free

    def connect(self, host: str, port: int) -> str:
        return self.refused.get(f"{host}:{port}", "")

    def remote_time(self, url: str) -> datetime | None:
        return self.time


def findings(host: DescribedHost) -> dict[str, Finding]:
    found = examine(
        host,
        ManualClock(NOW),
        state=Path("/var/lib/cadastre"),
        site="http://grid.example",
        addresses=("grid.example:7443",),
    )
    return {finding.check: finding for finding in found}


def test_a_healthy_machine_has_nothing_to_mend() -> None:
    assert {finding.verdict for finding in findings(DescribedHost()).values()} == {Verdict.OK}


@pytest.mark.parametrize(
    ("host", "check", "fix"),
    [
        (DescribedHost(system=("Darwin", "arm64")), "platform", "Linux x86-64"),
        (DescribedHost(bwrap=None), "bubblewrap", "apt-get install bubblewrap"),
        (
            DescribedHost(
                namespace="setting up uid map: Permission denied",
                files={"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"},
            ),
            "namespaces",
            "AppArmor",
        ),
        (
            DescribedHost(namespace="ENOSPC", files={"/proc/sys/user/max_user_namespaces": "0"}),
            "namespaces",
            "max_user_namespaces",
        ),
        (DescribedHost(user=0), "user", "useradd --system"),
        (DescribedHost(free=1024), "disk", "free some space"),
        (DescribedHost(time=NOW - timedelta(minutes=3)), "clock", "set-ntp"),
        (DescribedHost(refused={"grid.example:7443": "refused"}), "port", "firewall"),
    ],
)
def test_each_problem_comes_with_its_fix(host: DescribedHost, check: str, fix: str) -> None:
    finding = findings(host)[check]
    assert finding.verdict is Verdict.PROBLEM
    assert fix in finding.fix


@pytest.mark.parametrize("missing", ENCRYPTING)
def test_a_machine_that_cannot_encrypt_is_told_which_campaigns_it_misses(missing: str) -> None:
    host = DescribedHost(modules=frozenset(ENCRYPTING) - {missing})
    finding = findings(host)["encryption"]
    assert finding.verdict is Verdict.WARNING
    assert missing in finding.seen
    assert "[capsule,encrypted]" in finding.fix


def test_this_machine_is_asked_without_importing_anything() -> None:
    host = ThisHost()
    assert host.has_module("json")
    assert not host.has_module("no_such_package.inside")


def test_a_proxy_is_a_warning_unless_the_scheduler_is_exempt() -> None:
    proxy = {"https_proxy": "http://proxy.example:3128"}
    assert findings(DescribedHost(variables=proxy))["proxy"].verdict is Verdict.WARNING
    exempt = {**proxy, "no_proxy": "localhost,grid.example"}
    assert findings(DescribedHost(variables=exempt))["proxy"].verdict is Verdict.OK


def test_root_with_the_workers_user_is_fine() -> None:
    host = DescribedHost(user=0, users=frozenset({"cadastre-worker"}))
    assert findings(host)["user"].verdict is Verdict.OK


def test_this_machine_can_be_examined(tmp_path: Path) -> None:
    found = list(examine(ThisHost(), SystemClock(), state=tmp_path / "x", site="", addresses=()))
    assert [finding.check for finding in found][:2] == ["platform", "bubblewrap"]


def test_the_extra_learning_is_named_where_it_is_missing() -> None:
    found = findings(DescribedHost(libraries=frozenset({"numpy"})))["learning"]
    assert found.verdict is Verdict.OK
    assert found.seen.startswith("torch, torch_geometric")
    assert "cadastre[learning]" in found.fix
