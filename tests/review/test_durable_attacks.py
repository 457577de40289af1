"""Attacks on files: names that lead out, keys put in the place of keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from durable import keyfile
from durable.blobs import BlobFolder
from durable.errors import KeyFileRefused
from trust.errors import Malformed
from trust.ids import Digest
from trust.keys import PrivateKey

pytestmark = pytest.mark.base

KEY = PrivateKey(bytes(32))
OTHER = PrivateKey(bytes([1]) * 32)


@pytest.mark.parametrize("name", ["/etc/passwd", "../../secret", "..", ""])
def test_a_digest_that_was_never_parsed_leads_to_no_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_bytes(b"")
    folder = BlobFolder(tmp_path / "blobs")
    unparsed = Digest(f"sha256:{name}")
    for ask in (folder.has, folder.get, folder.remove):
        with pytest.raises(Malformed):
            ask(unparsed)


def test_a_public_key_received_from_someone_is_not_overwritten(tmp_path: Path) -> None:
    received = tmp_path / "alice.pub"
    received.write_text(f"{OTHER.public}\n")
    with pytest.raises(KeyFileRefused):
        keyfile.write_key(tmp_path / "alice", KEY)
    assert received.read_text() == f"{OTHER.public}\n"
    assert not (tmp_path / "alice").exists()


def test_a_key_that_appears_while_another_is_written_survives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    keyfile.write_key(path, OTHER)
    # The loser of a race looked before the winner's file was there.
    monkeypatch.setattr(Path, "exists", lambda _self, **_: False)
    with pytest.raises(KeyFileRefused):
        keyfile.write_key(path, KEY)
    assert keyfile.read_key(path) == OTHER
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["key", "key.pub"]


def test_a_dangling_link_in_the_place_of_a_key_is_not_replaced(tmp_path: Path) -> None:
    link = tmp_path / "key"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileRefused):
        keyfile.write_key(link, KEY)
    assert link.is_symlink()


def test_an_endless_key_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    keyfile.write_key(path, KEY)
    with path.open("a") as stream:
        stream.write("A" * 1_000_000)
    with pytest.raises(KeyFileRefused, match="damaged"):
        keyfile.read_key(path)


def test_the_rights_that_count_are_those_of_the_file_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, open_to_all = tmp_path / "private", tmp_path / "open"
    keyfile.write_key(private, KEY)
    keyfile.write_key(open_to_all, OTHER)
    open_to_all.chmod(0o644)
    decent = private.stat()
    # Between looking and reading, the name is given to another file.
    monkeypatch.setattr(Path, "stat", lambda _self, **_: decent)
    with pytest.raises(KeyFileRefused, match="other users"):
        keyfile.read_key(open_to_all)
