"""The sample configurations: read by what reads them in earnest, started where they can be."""

from __future__ import annotations

import argparse
import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import cadastre
from benchmarks.filled import found
from loopback.processes import free_ports
from scheduler.database import open_database
from scheduler.meters import Meters
from terminal.arguments import verbs_of
from trust.clock import SystemClock
from trust.entropy import SYSTEM
from web.signin.address import PublicAddress
from web.signin.oidc import configuration
from web.signin.roles import Role

HOUSE = Path(__file__).resolve().parents[2]
DEPLOY = HOUSE / "deploy"
UNITS = sorted([*DEPLOY.rglob("*.service"), *DEPLOY.rglob("*.timer")])
SERVERS = [unit for unit in UNITS if "cadastre " in unit.read_text("utf-8").split("ExecStart=")[-1]]
NGINX = DEPLOY / "advanced" / "nginx.conf"
SCRIPT = DEPLOY / "advanced" / "cadastre-backup.sh"
NAME = "grille.example"
START_SECONDS = 60.0


def name_of(path: Path) -> str:
    return path.relative_to(DEPLOY).as_posix()


def command(unit: Path) -> list[str]:
    """The words of a unit's ExecStart, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", unit.read_text("utf-8"))
    (line,) = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
    return str(line).split()


def parsed(words: list[str]) -> argparse.Namespace:
    """What the front door makes of a command. Raises SystemExit for one that it does not know."""
    parser = argparse.ArgumentParser()
    nouns = verbs_of(parser)
    for noun in cadastre.NOUNS:
        if noun.name == words[0]:
            cadastre._fill(noun, nouns.add_parser(noun.name))
    return parser.parse_args(words)


@pytest.mark.parametrize("unit", SERVERS, ids=name_of)
def test_the_command_of_a_unit_is_one_that_the_program_knows(unit: Path) -> None:
    program, *words = command(unit)
    assert program in {"/opt/cadastre-server/bin/cadastre", "/opt/cadastre-audit/bin/cadastre"}
    arguments = parsed(words)
    user = re.search(r"^User=(\S+)$", unit.read_text("utf-8"), re.MULTILINE)
    assert user
    kept = Path(arguments.state)  # a folder, or the monitor's one file in it
    assert str(kept.parent if kept.suffix else kept) == f"/var/lib/{user[1]}"


def test_the_monitor_asks_the_name_that_has_the_log() -> None:
    """The proxy shows pages and log under two names; a checkpoint has one of them."""
    _, *words = command(DEPLOY / "auditor" / "cadastre-monitor.service")
    servers = (DEPLOY / "advanced" / "nginx.conf").read_text("utf-8").split("\nserver {")
    (log,) = (one for one in servers if "proxy_pass http://127.0.0.1:7480;" in one)
    assert f"server_name {urlsplit(parsed(words).url).hostname};" in log


def test_a_wrong_word_would_be_found() -> None:
    _, *words = command(DEPLOY / "basic" / "cadastre-scheduler.service")
    with pytest.raises(SystemExit):
        parsed([*words, "--web-adress", "x"])


@pytest.mark.parametrize("unit", UNITS, ids=name_of)
def test_systemd_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    if (analyze := shutil.which("systemd-analyze")) is None:
        pytest.skip("no systemd-analyze here")
    for one in unit.parent.glob("*.*"):
        # The program is not installed here; everything else is verified as it stands.
        text = re.sub(r"\\\n\s*", "", one.read_text("utf-8"))
        text = re.sub("(?m)^ExecStart=.*$", "ExecStart=/bin/true", text)
        (tmp_path / one.name).write_text(text)
    ended = subprocess.run(
        [analyze, "verify", "--man=no", tmp_path / unit.name],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "SYSTEMD_LOG_LEVEL": "warning"},
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_identity_providers_file_gives_every_role(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "advanced" / "oidc.toml", tmp_path)
    secret = tmp_path / "oidc-client-secret"
    secret.write_text("a secret of the provider's making\n")
    secret.chmod(0o600)
    read = configuration.load(tmp_path / "oidc.toml")
    assert read.issuer.startswith("https://")
    given = {role for roles in read.roles.values() for role in roles}
    assert given == set(Role)
    assert read.roles_of({"groups": ["grille-exploitants"]}) == {Role.OPERATOR}


def test_the_proxy_the_unit_and_the_provider_mean_the_same_addresses() -> None:
    _, *words = command(DEPLOY / "advanced" / "cadastre-scheduler.service")
    arguments = parsed(words)
    assert PublicAddress.parse(arguments.web_address).origin == f"https://{NAME}"
    text = NGINX.read_text("utf-8")
    assert f"proxy_pass http://{arguments.web_listen};" in text
    assert f"server_name {NAME};" in text
    oidc = (DEPLOY / "advanced" / "oidc.toml").read_text("utf-8")
    assert f"https://{NAME}/sign-in/return" in oidc
    assert str(arguments.web_sign_in) == "/etc/cadastre/oidc.toml"


def test_the_backup_script_backs_up_and_forgets_what_is_old(tmp_path: Path) -> None:
    state = found(tmp_path / "state", SystemClock(), SYSTEM)
    open_database(state, SystemClock(), Meters()).close()
    phrase, folder = tmp_path / "phrase", tmp_path / "backups"
    phrase.write_text("drawn for this test and no other\n")
    door = tmp_path / "cadastre"
    door.write_text(f'#!/bin/sh\nexec {sys.executable} {HOUSE / "cadastre.py"} "$@"\n')
    door.chmod(0o755)
    folder.mkdir()
    old = folder / "scheduler-20200101T000000Z.tar"
    old.write_text("old")
    long_ago = (datetime.now(UTC) - timedelta(days=9)).timestamp()
    os.utime(old, (long_ago, long_ago))
    words: list[str | Path] = ["sh", SCRIPT, state.folder, folder, phrase]
    environment = {**os.environ, "CADASTRE": str(door), "PYTHONPATH": str(HOUSE)}
    subprocess.run(words, check=True, env=environment, capture_output=True)
    (made,) = folder.iterdir()
    assert made.name != old.name
    assert made.stat().st_mode & 0o077 == 0


class Proxied:
    """nginx with the sample before a scheduler that runs as the advanced unit says."""

    def __init__(self, home: Path, port: int, site: int) -> None:
        self.port, self.site, self.home = port, site, home

    def ask(
        self, host: str, path: str, *, method: str = "GET", **headers: str
    ) -> tuple[int, bytes]:
        """Status and body over TLS, for the server `host`; its certificate is verified."""
        context = ssl.create_default_context(cafile=str(self.home / "fullchain.pem"))
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection = http.client.HTTPConnection(host)
        connection.sock = context.wrap_socket(raw, server_hostname=host)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            self.headers = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, answer.read()
        finally:
            connection.close()


def certificate(home: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    names = [x509.DNSName(NAME), x509.DNSName(f"journal.{NAME}")]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (home / "fullchain.pem").write_bytes(made.public_bytes(pem))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (home / "privkey.pem").write_bytes(key.private_bytes(pem, *plain))


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        pytest.skip("no nginx here: apt-get install nginx-light")
    home = tmp_path_factory.mktemp("proxied")
    tls, plain, pages, site = free_ports(4)
    certificate(home)
    text = NGINX.read_text("utf-8")
    for old, new in {
        "listen 443": f"listen 127.0.0.1:{tls}",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "127.0.0.1:7481": f"127.0.0.1:{pages}",
        "127.0.0.1:7480": f"127.0.0.1:{site}",
        f"/etc/ssl/{NAME}": str(home),
    }.items():
        assert old in text
        text = text.replace(old, new)
    (home / "nginx.conf").write_text(
        f"daemon off;\npid {home}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n"
        + "".join(
            f"{kind}_temp_path {home}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        + text
        + "}\n"
    )
    checked = subprocess.run(
        [nginx, "-t", "-c", home / "nginx.conf"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr, checked.stderr

    state = found(home / "state", SystemClock(), SYSTEM, http_port=site)
    _, *words = command(DEPLOY / "basic" / "cadastre-scheduler.service")
    words[words.index("--state") + 1] = str(state.folder)
    words[words.index("--web-listen") + 1] = f"127.0.0.1:{pages}"
    words += ["--web-address", f"https://{NAME}"]
    logs = (home / "log.txt").open("wb")
    started = [
        subprocess.Popen(line, stdout=logs, stderr=logs, cwd=HOUSE)
        for line in (
            [sys.executable, "cadastre.py", *words],
            [nginx, "-c", str(home / "nginx.conf")],
        )
    ]
    try:
        wait_for(pages, site, tls)
        yield Proxied(home, tls, site)
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        logs.close()


def wait_for(*ports: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    for port in ports:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "it did not start"


@pytest.mark.processes
def test_the_pages_answer_behind_tls_with_their_own_name(proxied: Proxied) -> None:
    status, body = proxied.ask(NAME, "/sign-in", Accept="text/html")
    assert status == 200
    assert b"bench.example" in body
    assert "__Host-" in proxied.headers["set-cookie"]
    assert "Secure" in proxied.headers["set-cookie"]
    assert proxied.headers["strict-transport-security"]
    assert "nginx/" not in proxied.headers.get("server", "")


@pytest.mark.processes
def test_another_name_and_a_forged_address_are_not_believed(proxied: Proxied) -> None:
    status, _ = proxied.ask(NAME, "/sign-in", Host="evil.example")
    assert status in {421, 404}
    status, body = proxied.ask(NAME, "/", **{"X-Forwarded-For": "127.0.0.1"})
    assert status in {303, 401, 403}
    assert b"cadastre_transactions" not in body


@pytest.mark.processes
def test_the_log_is_everybodys_and_the_metrics_are_not(proxied: Proxied) -> None:
    journal = f"journal.{NAME}"
    assert proxied.ask(journal, "/readyz") == (200, b"ready\n")
    status, body = proxied.ask(journal, "/log/checkpoint")
    assert (status, body.split(b"\n")[0]) == (200, b"bench.example/log")
    assert proxied.ask(journal, "/metrics")[0] == 404
    assert proxied.ask(journal, "/log/checkpoint", method="POST")[0] == 403
    here = http.client.HTTPConnection("127.0.0.1", proxied.site, timeout=30)
    here.request("GET", "/metrics")
    assert b"cadastre_ready 1.0" in here.getresponse().read()
    here.close()
