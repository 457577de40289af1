"""A city computer without a network but one cable: from the tar to the first unit, and away again.

Installs into /opt/cadastre and /var/lib/cadastre of the machine it runs on, and removes both.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from machines import HERE, SecondMachine, Servers

pytestmark = [pytest.mark.package, pytest.mark.processes]

ROOT = Path(__file__).parents[2]
PROGRAM, STATE = Path("/opt/cadastre"), Path("/var/lib/cadastre")
COMMAND = Path("/usr/local/bin/cadastre")
UNIT = Path("/etc/systemd/system/cadastre-worker.service")
INSTALLED = (PROGRAM, STATE, COMMAND, UNIT)
MAXIMUM_COMMANDS = 10
OWNERS = 24
STOP_SECONDS = 1.0
MAPPING = """\
[capsule]
data_class = "personal"
unit = "owner"
one_per = "person"

[tables.trips]
columns.mode = { type = "integer", from = "mode" }
columns.distance = { type = "real", from = "distance" }
"""


@pytest.fixture
def tar() -> Path:
    """What `make package` built."""
    if os.geteuid() != 0:
        pytest.skip("only root installs the package")
    if shutil.which("ip") is None:
        pytest.skip("no `ip` here: apt-get install iproute2")
    probe = f"cadastre-probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], check=False, capture_output=True).returncode:
        pytest.skip("this machine makes no network namespaces (a container without CAP_SYS_ADMIN)")
    subprocess.run(["ip", "netns", "del", probe], check=True)
    if there := [str(path) for path in INSTALLED if path.exists()]:
        pytest.skip(f"a Cadastre is installed here, and stays: {', '.join(there)}")
    found = sorted((ROOT / "dist").glob("cadastre-worker-*-linux-x86_64.tar"))
    if not found:
        pytest.skip("no tar in dist/: make package")
    return found[-1]


@pytest.fixture
def home(tar: Path) -> Iterator[Path]:
    """A folder that the worker's own user can pass through."""
    folder = Path(tempfile.mkdtemp(prefix="cadastre-package-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def machine(home: Path) -> Iterator[SecondMachine]:
    second = SecondMachine()
    try:
        second.plug_in()
        yield second
    finally:
        second.unplug()
        # Nothing was installed before (see `tar`), so whatever is there now is this test's.
        subprocess.run(["sh", ROOT / "deploy/uninstall.sh", "--purge"], check=False)


@pytest.fixture
def servers(machine: SecondMachine, home: Path) -> Iterator[Servers]:
    territory = Servers(home)
    try:
        territory.found()
        yield territory
    finally:
        territory.stop()


def has_user() -> bool:
    return any(entry.pw_name == "cadastre-worker" for entry in pwd.getpwall())


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file of `folder` but the lock and what the last agent said of itself."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files if not path.name.startswith("agent.")}


def seal(servers: Servers, card: Path) -> Path:
    """What the owners do at home: one capsule each, for the worker whose card they saw."""
    table, plan, folder = (servers.home / name for name in ("rows.csv", "plan.toml", "owners"))
    rows = [f"{n},{n % 4 + 1},{n % 30 + 6}" for n in range(OWNERS)]
    table.write_text("\n".join(["person,mode,distance", *rows, ""]))
    plan.write_text(MAPPING)
    servers.run("capsule", "seal", table, "--mapping", plan, "--out", folder, "--worker", card)
    return folder


def test_from_the_tar_to_the_first_unit_and_nothing_left(
    tar: Path, home: Path, machine: SecondMachine, servers: Servers
) -> None:
    user_before = has_user()
    token = servers.token("worker")
    stick = home / "stick"
    stick.mkdir()
    shutil.copy(tar, stick)
    log = home / "worker.log"

    machine.type(f"tar xf {tar.name}", stick)
    package = stick / tar.stem  # cd
    machine.typed.append(f"cd {tar.stem}")
    machine.type("./install.sh", package)
    machine.type(f"cadastre worker join - --state {STATE}", package, token)
    machine.type(f"cp {STATE}/card.json {stick}", package)
    owners = seal(servers, stick / "card.json")
    machine.type(f"cadastre capsule host {owners} --state {STATE}", package)
    machine.type_and_leave_running(f"exec cadastre worker run --state {STATE}", log)

    bundle = home / "example"
    servers.run("bundle", "init", bundle)
    # The cooperative authorises the image that it has; the tar must bring the very same one.
    image = servers.run("worker", "image")["image"]
    there = machine.look(f"cadastre worker image --state {STATE} --json", package)
    assert json.loads(there)["image"] == image
    digest = servers.authorise(bundle, image)
    servers.run("consent", "grant", owners, "--bundle", digest)
    submit = ("consent", "submit", owners, "--registry", servers.registry)
    accepted = servers.run(*submit, "--as", servers.operator)["accepted"]
    assert accepted == OWNERS
    values = home / "parameters.json"
    values.write_text('{"shortest": "5"}')
    start = ("campaign", "start", digest, "--parameters", values)
    campaign = servers.run(*start, "--as", servers.operator)["campaign"]

    try:
        servers.wait_for_a_unit(campaign)
    except (AssertionError, TimeoutError) as error:
        raise AssertionError(f"{error}\n{log.read_text()[-3000:]}") from error
    assert len(machine.typed) <= MAXIMUM_COMMANDS, machine.typed
    # No way led out of the second machine but the cable.
    assert HERE in machine.look("ip route get 10.213.77.1", package)
    assert not machine.look("ip route show default", package).strip()

    refusal = machine.look("! ./install.sh 2>&1", package)
    assert "stop it first:  cadastre worker stop" in refusal, "no half of an upgrade under it"

    agent = machine.running[0]
    with subprocess.Popen(["sh", "uninstall.sh"], cwd=package) as uninstall:
        started = time.monotonic()
        agent.wait(10)
        took = time.monotonic() - started
        assert uninstall.wait(30) == 0
    assert agent.returncode == 0, log.read_text()[-3000:]
    assert took < STOP_SECONDS, f"the agent stopped after {took:.2f} s"
    assert [path for path in INSTALLED if path.exists()] == [STATE], "keys and capsules are kept"
    kept = contents(STATE)
    for _ in ("installed again", "and over itself"):
        machine.look("./install.sh", package)
        assert contents(STATE) == kept
    machine.look("./uninstall.sh --purge", package)
    assert [path for path in INSTALLED if path.exists()] == []
    assert has_user() == user_before
    left = subprocess.run(
        ["ip", "netns", "pids", machine.name], capture_output=True, text=True, check=True
    )
    assert left.stdout.split() == [], "processes survived"
