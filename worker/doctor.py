"""`cadastre doctor`: what on this machine would stop a worker, each finding with its fix.

The checks look, they change nothing. Facts come through `Host`, so that tests can describe a
machine; `ThisHost` is the real one.
"""

from __future__ import annotations

import enum
import importlib.util
import os
import platform
import pwd
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from jobs.libraries import contents
from trust.clock import Clock

WORKER_USER = "cadastre-worker"
# Runtime image, capsules of a few thousand people and a month of journal fit in this.
MINIMUM_FREE_BYTES = 2 * 1024**3
# Certificates are backdated by five minutes; beyond one minute other things get confusing.
MAXIMUM_CLOCK_SKEW_SECONDS = 60.0
WAIT_SECONDS = 5.0
# What the extra `encrypted` brings, as capsule_runtime.encrypting looks for it (which cannot be
# imported on a machine that has the agent alone).
ENCRYPTING = ("tenseal", "backports.zstd")
_RESTRICTED = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_NAMESPACES = Path("/proc/sys/user/max_user_namespaces")


class Verdict(enum.StrEnum):
    """How a finding reads at a glance."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One thing looked at: the verdict, what was seen, and what to type when it is not well."""

    check: str
    verdict: Verdict
    seen: str
    fix: str = ""


class Host(Protocol):
    """The facts that the checks need."""

    def platform(self) -> tuple[str, str]:
        """(system, machine), e.g. ("Linux", "x86_64")."""
        ...

    def read(self, path: Path) -> str | None:
        """A small text file's content, stripped; None when it can't be read."""
        ...

    def bubblewrap(self) -> str | None:
        """Where bwrap is; None when it is not installed."""
        ...

    def try_namespace(self, bwrap: str) -> str:
        """Start a sandbox that does nothing: "" when it works, else bwrap's own message."""
        ...

    def has_module(self, name: str) -> bool:
        """Whether this Python can import `name`, without importing it."""
        ...

    def user_exists(self, name: str) -> bool:
        """Whether the machine has this user."""
        ...

    def installed(self, library: str) -> bool:
        """Whether this Python finds the library."""
        ...

    def uid(self) -> int:
        """The effective user id."""
        ...

    def environment(self) -> Mapping[str, str]:
        """Environment variables."""
        ...

    def free_bytes(self, path: Path) -> int:
        """Free space where `path` is or would be."""
        ...

    def connect(self, host: str, port: int) -> str:
        """Open a TCP connection: "" when it works, else why not."""
        ...

    def remote_time(self, url: str) -> datetime | None:
        """The Date that a web server tells; None when it tells none."""
        ...


def examine(
    host: Host, clock: Clock, *, state: Path, site: str, addresses: tuple[str, ...]
) -> Iterator[Finding]:
    """Every finding, in the order in which they matter.

    `site` is the scheduler's HTTP address ("" when unknown), `addresses` its gRPC ports as
    `host:port`.
    """
    yield _platform(host)
    yield from _sandbox(host)
    yield _encryption(host)
    yield _learning(host)
    yield _identity(host)
    yield _proxy(host, addresses)
    yield _disk(host, state)
    yield _clock(host, clock, site)
    for address in addresses:
        yield _port(host, address)


def _platform(host: Host) -> Finding:
    system, machine = host.platform()
    if (system, machine) == ("Linux", "x86_64"):
        return Finding("platform", Verdict.OK, f"{system} {machine}")
    return Finding(
        "platform",
        Verdict.PROBLEM,
        f"{system} {machine}",
        "use a Linux x86-64 machine: the sandbox's filter exists for that only",
    )


def _sandbox(host: Host) -> Iterator[Finding]:
    bwrap = host.bubblewrap()
    if bwrap is None:
        yield Finding(
            "bubblewrap", Verdict.PROBLEM, "not installed", "sudo apt-get install bubblewrap"
        )
        return
    yield Finding("bubblewrap", Verdict.OK, bwrap)
    said = host.try_namespace(bwrap)
    if not said:
        yield Finding("namespaces", Verdict.OK, "an empty sandbox starts")
        return
    if host.read(_RESTRICTED) == "1":
        fix = (
            "AppArmor restricts user namespaces (Ubuntu 23.10 and later): install the "
            "distribution's bubblewrap, whose path /usr/bin/bwrap has a profile, or add one; "
            "leave the sysctl alone"
        )
    elif host.read(_NAMESPACES) == "0":
        fix = "sudo sysctl -w user.max_user_namespaces=15000 (and keep it in /etc/sysctl.d)"
    else:
        fix = "allow unprivileged user namespaces for bwrap, then run cadastre doctor again"
    yield Finding("namespaces", Verdict.PROBLEM, said, fix)


def _encryption(host: Host) -> Finding:
    missing = [name for name in ENCRYPTING if not host.has_module(name)]
    if not missing:
        return Finding("encryption", Verdict.OK, "TenSEAL is installed")
    # No problem: without it the worker is planned for every other campaign.
    return Finding(
        "encryption",
        Verdict.WARNING,
        f"{', '.join(missing)} not installed: `encrypted` campaigns leave this worker out",
        "pip install 'cadastre[capsule,encrypted]' where the worker runs, then start it again",
    )


def _learning(host: Host) -> Finding:
    wanted = contents("torch_geometric")
    missing = [name for name in wanted if not host.installed(name)]
    if not missing:
        return Finding("learning", Verdict.OK, f"bundles may use {', '.join(wanted)}")
    # Nothing is wrong with a worker without it: it is given the other bundles.
    return Finding(
        "learning",
        Verdict.OK,
        f"{', '.join(missing)} not installed: bundles that need it run elsewhere",
        "to offer it: pip install 'cadastre[learning]' (torch's CPU build is 200 MB to fetch, its "
        "default build several GB)",
    )


def _identity(host: Host) -> Finding:
    if host.uid() != 0:
        return Finding("user", Verdict.OK, f"an ordinary user (uid {host.uid()})")
    if host.user_exists(WORKER_USER):
        return Finding("user", Verdict.OK, f"root; a worker drops to {WORKER_USER}")
    return Finding(
        "user",
        Verdict.PROBLEM,
        f"root, and the user {WORKER_USER} does not exist",
        f"useradd --system --no-create-home --shell /usr/sbin/nologin {WORKER_USER}",
    )


def _proxy(host: Host, addresses: tuple[str, ...]) -> Finding:
    environment = host.environment()
    names = [n for n in ("grpc_proxy", "https_proxy", "http_proxy") if environment.get(n)]
    if not names:
        return Finding("proxy", Verdict.OK, "none configured")
    exempt = environment.get("no_grpc_proxy") or environment.get("no_proxy") or ""
    hosts = {address.rpartition(":")[0] for address in addresses}
    if hosts and hosts <= set(exempt.split(",")):
        return Finding("proxy", Verdict.OK, f"{names[0]} is set, the scheduler is exempt")
    return Finding(
        "proxy",
        Verdict.WARNING,
        f"{names[0]} is set: gRPC will go through it",
        "if the proxy does not let CONNECT through to the scheduler's ports, set "
        "no_grpc_proxy=<scheduler's host> in the worker's environment",
    )


def _disk(host: Host, state: Path) -> Finding:
    free = host.free_bytes(state)
    seen = f"{free / 1024**3:.1f} GiB free at {state}"
    if free >= MINIMUM_FREE_BYTES:
        return Finding("disk", Verdict.OK, seen)
    return Finding(
        "disk", Verdict.PROBLEM, seen, f"free some space: {MINIMUM_FREE_BYTES >> 30} GiB are needed"
    )


def _clock(host: Host, clock: Clock, site: str) -> Finding:
    if not site:
        return Finding(
            "clock",
            Verdict.WARNING,
            "not compared",
            "give --site URL to compare with the scheduler",
        )
    remote = host.remote_time(site)
    if remote is None:
        return Finding(
            "clock",
            Verdict.WARNING,
            f"{site} does not answer",
            "check the address and the network, then run cadastre doctor again",
        )
    skew = abs((clock.now() - remote).total_seconds())
    if skew <= MAXIMUM_CLOCK_SKEW_SECONDS:
        return Finding("clock", Verdict.OK, f"{skew:.0f} s from the scheduler's")
    return Finding(
        "clock",
        Verdict.PROBLEM,
        f"{skew:.0f} s from the scheduler's",
        "sudo timedatectl set-ntp true",
    )


def _port(host: Host, address: str) -> Finding:
    name, _, port = address.rpartition(":")
    why = host.connect(name, int(port))
    if not why:
        return Finding("port", Verdict.OK, f"{address} answers")
    return Finding(
        "port",
        Verdict.PROBLEM,
        f"{address}: {why}",
        f"let outgoing TCP to {address} through the firewall; nothing incoming is needed",
    )


class ThisHost:
    """The machine that runs this program."""

    def platform(self) -> tuple[str, str]:
        return platform.system(), platform.machine()

    def read(self, path: Path) -> str | None:
        try:
            return path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None

    def bubblewrap(self) -> str | None:
        return shutil.which("bwrap")

    def try_namespace(self, bwrap: str) -> str:
        command = [bwrap, "--unshare-all", "--ro-bind", "/", "/", "--die-with-parent", "true"]
        try:
            ended = subprocess.run(command, capture_output=True, timeout=WAIT_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if ended.returncode == 0:
            return ""
        return ended.stderr.decode(errors="replace").strip() or f"exit status {ended.returncode}"

    def has_module(self, name: str) -> bool:
        try:
            return importlib.util.find_spec(name) is not None
        except ImportError:  # the package above it is missing
            return False

    def user_exists(self, name: str) -> bool:
        return any(entry.pw_name == name for entry in pwd.getpwall())

    def installed(self, library: str) -> bool:
        return importlib.util.find_spec(library) is not None

    def uid(self) -> int:
        return os.geteuid()

    def environment(self) -> Mapping[str, str]:
        return {name.lower(): value for name, value in os.environ.items()}

    def free_bytes(self, path: Path) -> int:
        place = path
        while not place.exists():
            place = place.parent
        return shutil.disk_usage(place).free

    def connect(self, host: str, port: int) -> str:
        try:
            socket.create_connection((host, port), timeout=WAIT_SECONDS).close()
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def remote_time(self, url: str) -> datetime | None:
        if urlsplit(url).scheme not in {"http", "https"}:
            return None
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=WAIT_SECONDS) as answer:  # noqa: S310 - scheme checked
                told = answer.headers.get("Date")
        except (OSError, urllib.error.URLError):
            return None
        return parsedate_to_datetime(told) if told else None
