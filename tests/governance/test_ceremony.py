"""The root ceremony and the witness's folder, by the commands that people type."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cadastre
from tests.governance import territory
from trust import dsse, root
from trust.documents.root import Duty
from trust.ids import Digest
from trust.log.checkpoint import Checkpoint
from trust.log.cosignature import CosignerKey
from trust.log.note import LogKey
from trust.log.policy import Policy
from trust.log.tree import Tree, leaf_hash


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("territory")
    territory.set_up(made)
    return made


def test_two_of_three_signatures_make_a_trusted_root(folder: Path) -> None:
    raw = (folder / "root.json").read_bytes()
    trusted = root.trust_pinned(raw, Digest.of(raw))
    assert trusted.document.territory == territory.NAME
    assert trusted.keys(Duty.COLLEGE).threshold == 2
    policy = Policy.parse(trusted.document.log_policy.encode())
    assert policy.quorum is not None
    assert policy.logs[0].url == "http://127.0.0.1:7001/log"
    vkey = (folder / "W" / "witness.vkey").read_text().strip()
    assert [w.key for w in policy.witnesses.values()] == [CosignerKey.parse(vkey)]


def test_show_names_every_duty_and_what_is_needed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert territory.run("root", "show", folder / "root.json", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["still needed"] == 0
    assert shown["digest"] == dsse.Envelope.parse((folder / "root.json").read_bytes()).digest
    assert set(shown) >= {"root", "college", "status", "orders", "log", "quorum", "expires"}


def test_a_draft_is_not_trusted_before_enough_have_signed(folder: Path) -> None:
    assert territory.draft(folder, "young.json") == 0
    path = folder / "young.json"
    assert territory.run("root", "sign", path, "--key", folder / "a") == 0
    # The same member twice is one member.
    assert territory.run("root", "sign", path, "--key", folder / "a") == 1
    raw = path.read_bytes()
    with pytest.raises(Exception, match="1 of the 2 required signatures"):
        root.trust_pinned(raw, Digest.of(raw))


def test_a_key_without_the_duty_may_not_sign(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert territory.run("root", "sign", folder / "root.json", "--key", folder / "x") == 1
    assert "counts for nothing" in capsys.readouterr().err.replace("would count", "counts")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (("--quorum", "0"), "ceremony-refused"),
        (("--quorum", "2"), "ceremony-refused"),
        (("--root-threshold", "4"), "ceremony-refused"),
        (("--college", "{a}.pub"), "ceremony-refused"),  # a root key is also of the college
        (("--root-key", "{b}.pub"), "ceremony-refused"),  # twice
        (("--status-url", "ftp://x"), "ceremony-refused"),
        (("--days", "0"), "ceremony-refused"),
        (("--witness", "nowhere"), "ceremony-refused"),
    ],
)
def test_an_unsound_root_is_never_drafted(
    folder: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], code: str
) -> None:
    filled = [word.replace("{a}", str(folder / "a")).replace("{b}", str(folder / "b"))
              for word in more]  # fmt: skip
    capsys.readouterr()
    assert territory.draft(folder, "unsound.json", *filled) == 1
    said = capsys.readouterr().err
    assert f"[{code}]" in said
    assert not (folder / "unsound.json").exists()


def test_a_private_key_given_for_a_public_one_is_not_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error once quoted the file that it could not read, seed included."""
    assert territory.draft(folder, "unsound.json", "--status-key", folder / "a") == 1
    said = capsys.readouterr().err
    assert "key-refused" in said
    seed = (folder / "a").read_text().split()[-1]
    assert seed[:8] not in said


def test_a_draft_never_overwrites(folder: Path) -> None:
    before = (folder / "root.json").read_bytes()
    assert territory.draft(folder) == 1
    assert (folder / "root.json").read_bytes() == before


def test_rotation_is_signed_by_old_and_new_keys(folder: Path) -> None:
    first = (folder / "root.json").read_bytes()
    assert territory.draft(folder, "root-2.json", "--previous", folder / "root.json") == 0
    for name in "bc":
        assert territory.run(
            "root", "sign", folder / "root-2.json", "--key", folder / name,
            "--previous", folder / "root.json",
        ) == 0  # fmt: skip
    trusted = root.walk([first, (folder / "root-2.json").read_bytes()], Digest.of(first))
    assert trusted.document.version == 2


def test_an_offer_that_is_none_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "offer.txt").write_text('{"territory": "x"}')
    assert territory.draft(folder, "unsound.json", "--offer", folder / "offer.txt") == 1
    assert "exactly the fields" in capsys.readouterr().err


def test_a_witness_is_made_once_and_serves_only_followed_logs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert territory.run("witness", "init", "--state", folder / "W", "--name", "w") == 1
    listen = ("--listen", "127.0.0.1:0")
    assert territory.run("witness", "serve", "--state", folder / "W", *listen) == 1
    assert "follows no log" in capsys.readouterr().err
    assert territory.run("witness", "serve", "--state", folder / "none", *listen) == 1
    assert territory.run("witness", "init", "--state", folder / "V", "--name", "a b") == 1
    assert not (folder / "V").exists()
    follow = ("witness", "follow", "--state", folder / "W", "--log-vkey-from")
    assert territory.run(*follow, folder / "offer.json") == 0
    (followed,) = (folder / "W" / "logs").iterdir()
    assert followed.read_text().startswith(f"log.{territory.NAME}+")
    assert (folder / "W" / "witness.key").stat().st_mode & 0o077 == 0


@pytest.mark.processes
def test_the_witness_process_cosigns_only_what_continues(tmp_path: Path) -> None:
    territory.offer(tmp_path)
    state = tmp_path / "W"
    assert territory.run("witness", "init", "--state", state, "--name", "witness.example") == 0
    follow = ("witness", "follow", "--state", state, "--log-vkey-from", tmp_path / "offer.json")
    assert territory.run(*follow) == 0
    root = Path(cadastre.__file__).parent
    command = [
        sys.executable, cadastre.__file__, "witness", "serve", "--state", str(state),
        "--listen", "127.0.0.1:0",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        match = re.search(r":(\d+)$", process.stderr.readline().strip())
        assert match
        tree = Tree([leaf_hash(b"one"), leaf_hash(b"two")])
        note = Checkpoint(f"log.{territory.NAME}", 2, tree.root()).signed(territory.LOG).emit()
        status, lines = _add(int(match[1]), b"old 0\n\n" + note)
        assert status == 200
        key = CosignerKey.parse((state / "witness.vkey").read_text().strip())
        policy = f"log {LogKey(f'log.{territory.NAME}', territory.LOG.public)}\n"
        policy += f"witness w {key}\nquorum w\n"
        assert Policy.parse(policy.encode()).verify(note + lines).checkpoint.size == 2
        other = Tree([leaf_hash(b"three"), leaf_hash(b"two")])
        face = Checkpoint(f"log.{territory.NAME}", 2, other.root()).signed(territory.LOG).emit()
        assert _add(int(match[1]), b"old 2\n\n" + face)[0] in {409, 422}
        process.terminate()
        assert process.wait(timeout=20) == 0


def _add(port: int, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/add-checkpoint", body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
