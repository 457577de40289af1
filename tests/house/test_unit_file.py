"""The systemd unit leaves the sandbox what it needs, and says no more than it means.

What breaks bubblewrap was tried by laying the same mounts and filters on a process and running
the real self-test in it (bubblewrap 0.8, kernel 6.18): each of these ended at level L0.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from capsule_runtime.sandbox import command, layout
from jobs import libraries

HOUSE = Path(__file__).resolve().parents[2]
UNIT = HOUSE / "worker" / "unit" / "cadastre-worker.service"
INSTALLER = HOUSE / "deploy" / "install.sh"
NEEDED_FAMILIES = {"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"}
ON, OFF = {"yes", "true", "on", "1"}, {"no", "false", "off", "0"}

# Options that must stay off whatever their value, with what they would take away.
FORBIDDEN = {
    "RestrictNamespaces": "user namespaces, which the sandbox is made of",
    "ProtectHostname": "sethostname, with which the sandbox takes its own name",
    "ProtectKernelTunables": "writing /proc/sys/user/max_user_namespaces (--disable-userns)",
    "PrivateNetwork": "the way to the scheduler",
    "DynamicUser": "the user that owns the capsules",
    "MemoryDenyWriteExecute": "libffi's closures",
    "NoExecPaths": "the interpreter",
    "RootDirectory": "the host's interpreter and libraries",
    "RootImage": "the host's interpreter and libraries",
    "SystemCallFilter": "mount, pivot_root, unshare, seccomp: list them all, then change this test",
    "InaccessiblePaths": "what the sandbox binds",
    "TemporaryFileSystem": "what the sandbox binds",
}
# Options that may be set to these values only.
ONLY = {
    "ProcSubset": {"all"},
    "ProtectProc": {"default", "invisible"},
    "SecureBits": {""},
    "KeyringMode": {"private", "inherit", "shared"},
    "DevicePolicy": {"auto", "closed"},
    "PrivateDevices": OFF,
}
# What an unprivileged service is expected to have; the self-test needs MemoryMax for L3.
REQUIRED = {
    "User": "cadastre-worker",
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "ProtectSystem": "strict",
    "StateDirectory": "cadastre",
    "StateDirectoryMode": "0700",
    "LimitCORE": "0",
    "UMask": "0077",
    "KillMode": "mixed",
}


def settings(lines: Iterable[str]) -> dict[str, list[str]]:
    """Every `Name=value` of a unit file, in order; a name may stand several times."""
    found: dict[str, list[str]] = {}
    for line in lines:
        text = line.strip()
        if text and text[0] not in "#;[":
            name, _, value = text.partition("=")
            found.setdefault(name.strip(), []).append(value.strip())
    return found


def complaints(unit: dict[str, list[str]]) -> list[str]:
    """What in `unit` would stop the sandbox, or is missing, one line each."""
    said = [
        f"{name} takes away {what}"
        for name, what in FORBIDDEN.items()
        if any(value.lower() not in OFF for value in unit.get(name, []))
    ]
    said += [
        f"{name}={value} is none of {sorted(allowed)}"
        for name, allowed in ONLY.items()
        for value in unit.get(name, [])
        if value.lower() not in allowed
    ]
    said += [f"{name} is not {v!r}" for name, v in REQUIRED.items() if unit.get(name) != [v]]
    families = set(" ".join(unit.get("RestrictAddressFamilies", [])).split())
    if families and not families >= NEEDED_FAMILIES:
        said.append(f"RestrictAddressFamilies lacks {sorted(NEEDED_FAMILIES - families)}")
    if any(family.startswith("~") for family in families):
        said.append("RestrictAddressFamilies forbids some instead of allowing some")
    if not re.fullmatch(r"[1-9][0-9]*[MG]", unit.get("MemoryMax", [""])[-1]):
        said.append("MemoryMax is no limit: the sandbox would reach L2, not L3")
    return said


@pytest.fixture
def unit() -> dict[str, list[str]]:
    return settings(UNIT.read_text(encoding="utf-8").splitlines())


def test_the_unit_leaves_the_sandbox_what_it_needs(unit: dict[str, list[str]]) -> None:
    assert complaints(unit) == []


@pytest.mark.parametrize(
    "line",
    [
        "RestrictNamespaces=yes",
        "RestrictNamespaces=~user",
        "ProtectHostname=yes",
        "ProtectKernelTunables=true",
        "ProcSubset=pid",
        "PrivateDevices=yes",
        "PrivateNetwork=1",
        "SystemCallFilter=@system-service",
        "MemoryMax=infinity",
        "NoNewPrivileges=no",
        "KillMode=none",
    ],
)
def test_a_unit_that_would_break_the_sandbox_is_refused(line: str) -> None:
    text = UNIT.read_text(encoding="utf-8").replace("[Install]", f"{line}\n[Install]")
    assert complaints(settings(text.splitlines())) != []


@pytest.mark.parametrize("family", sorted(NEEDED_FAMILIES))
def test_no_address_family_can_be_spared(unit: dict[str, list[str]], family: str) -> None:
    fewer = NEEDED_FAMILIES - {family}
    assert complaints(unit | {"RestrictAddressFamilies": [" ".join(fewer)]}) != []


def test_why_these_options_matter_is_still_true() -> None:
    """The sandbox still takes a name, closes namespaces, and reads what ProcSubset would hide."""
    boot = command.Boot(bwrap=Path("/usr/bin/bwrap"), control_fd=60, filter_fd=None)
    words = command.arguments(layout.find_layout((libraries.BASE,)), boot)
    assert {"--hostname", "--disable-userns", "--unshare-net", "/proc/cpuinfo"} <= set(words)


def test_unit_and_installer_mean_the_same_places(unit: dict[str, list[str]]) -> None:
    installer = INSTALLER.read_text(encoding="utf-8")
    (program, *words) = unit["ExecStart"][0].split()
    assert words == ["worker", "run", "--state", "/var/lib/cadastre"]
    assert program == "/opt/cadastre/bin/cadastre"
    for place in ("opt=/opt/cadastre", "state=/var/lib/cadastre", f"user={unit['User'][0]}"):
        assert f"\n{place}\n" in installer


def test_systemd_itself_finds_nothing_wrong(tmp_path: Path) -> None:
    if (analyze := shutil.which("systemd-analyze")) is None:
        pytest.skip("no systemd-analyze here")
    # The program is not installed on this machine; everything else is verified as it stands.
    copy = tmp_path / UNIT.name
    text = re.sub("(?m)^ExecStart=.*$", "ExecStart=/bin/true", UNIT.read_text(encoding="utf-8"))
    copy.write_text(text, encoding="utf-8")
    ended = subprocess.run(
        [analyze, "verify", "--man=no", copy],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "SYSTEMD_LOG_LEVEL": "warning"},
    )
    assert (ended.returncode, ended.stderr) == (0, "")
