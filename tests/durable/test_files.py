import errno
import os
from pathlib import Path

import pytest

from durable.blobs import BlobFolder
from durable.errors import BlobCorrupted, BlobMissing, DiskFull, KeyFileRefused, StorageFailed
from durable.files import make_directory, write_atomic
from durable.keyfile import read_key, write_key
from trust.entropy import seeded
from trust.ids import Digest
from trust.keys import PrivateKey

pytestmark = pytest.mark.base


def test_a_write_replaces_and_keeps_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "state"
    write_atomic(target, b"one", mode=0o600)
    write_atomic(target, b"two", mode=0o600)
    assert target.read_bytes() == b"two"
    assert target.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_failed_write_leaves_the_old_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    target = tmp_path / "state"
    write_atomic(target, b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patch:
        patch.setattr(os if call == "fsync" else Path, call, fail)
        with pytest.raises(DiskFull, match="full"):
            write_atomic(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="absent"):
        write_atomic(tmp_path / "absent" / "x", b"")


def test_blobs_are_filed_by_content_and_checked_on_reading(tmp_path: Path) -> None:
    blobs = BlobFolder(tmp_path)
    digest = blobs.put(b"hello")
    assert blobs.put(b"hello") == digest == Digest.of(b"hello")
    assert blobs.get(digest) == b"hello"
    assert list(blobs) == [digest]
    blobs.path(digest).write_bytes(b"hellp")
    with pytest.raises(BlobCorrupted):
        blobs.get(digest)
    blobs.remove(digest)
    assert not blobs.has(digest)
    with pytest.raises(BlobMissing):
        blobs.get(digest)


def test_a_key_file_round_trips_and_is_never_overwritten(tmp_path: Path) -> None:
    key = PrivateKey.generate(seeded(b"k"))
    make_directory(tmp_path / "keys")
    path = tmp_path / "keys" / "a"
    write_key(path, key)
    assert read_key(path) == key
    assert path.with_name("a.pub").read_text().strip() == str(key.public)
    with pytest.raises(KeyFileRefused, match="exists"):
        write_key(path, key)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_key(path, PrivateKey.generate(seeded(b"k")))
    path.chmod(0o640)
    with pytest.raises(KeyFileRefused, match="other users"):
        read_key(path)


@pytest.mark.parametrize(
    "text", ["", "nonsense", "cadastre-key-v1 ed25519 AAAA", "cadastre-key-v1 ed25519 %%"]
)
def test_a_damaged_key_file_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(KeyFileRefused) as caught:
        read_key(path)
    assert "AAAA" not in str(caught.value)
