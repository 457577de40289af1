from __future__ import annotations

import io
import os
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import archive, opening, statement
from jobs.errors import ArchiveRefused, BundleMissing, BundleUnverified, ManifestRefused
from trust.clock import ManualClock
from trust.entropy import seeded
from trust.errors import SignatureInvalid
from trust.ids import Digest
from trust.keys import PrivateKey

FOLDER = opening.built_in_folder("example")
FILES = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.is_file()}
BUNDLE = archive.read(archive.pack(FILES))


def test_packing_is_reproducible_and_reads_back(tmp_path: Path) -> None:
    copied = tmp_path / "elsewhere"
    copied.mkdir()
    for name, data in sorted(FILES.items(), reverse=True):
        (copied / name).write_bytes(data)
        os.utime(copied / name, (1, 1))
        (copied / name).chmod(0o600)
    assert archive.pack_folder(copied).raw == BUNDLE.raw
    assert dict(BUNDLE.files) == FILES
    assert BUNDLE.digest == Digest.of(BUNDLE.raw)
    assert BUNDLE.manifest_digest == Digest.of(FILES["bundle.toml"])
    assert set(BUNDLE.sources) == {"algorithm.py"}
    assert BUNDLE.filename == "example-0.1.0.cadastre"


def test_what_is_not_shipped_stays_behind(tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "algorithm.cpython-311.pyc").write_bytes(b"x")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_bytes(b"x")
    (tmp_path / "old-1.0.0.cadastre").write_bytes(b"x")
    assert archive.pack_folder(tmp_path).raw == BUNDLE.raw


@pytest.mark.parametrize(
    "name",
    ["model.pkl", "data.csv", "lib.so", "algorithm.pyc", "Ünï.py", "a b.py", "1.py", "run.sh"],
)
def test_what_does_not_belong_in_a_bundle_is_refused(tmp_path: Path, name: str) -> None:
    for file, data in FILES.items():
        (tmp_path / file).write_bytes(data)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ArchiveRefused, match="does not belong in a bundle"):
        archive.pack_folder(tmp_path)


def test_links_are_refused(tmp_path: Path) -> None:
    for file, data in FILES.items():
        (tmp_path / file).write_bytes(data)
    (tmp_path / "extra.py").symlink_to("/etc/passwd")
    with pytest.raises(ArchiveRefused, match="not a regular file"):
        archive.pack_folder(tmp_path)


def test_an_entry_that_no_source_holds_is_refused() -> None:
    files = {**FILES, "bundle.toml": FILES["bundle.toml"].replace(b"algorithm:conclude", b"b:c")}
    with pytest.raises(ArchiveRefused, match=r"holds no b\.py"):
        archive.read(archive.pack(files))


def test_packages_are_sources_too() -> None:
    files = {**FILES, "shared/maths.py": b"X = 1\n", "LICENSE": b"GPL\n"}
    assert "shared/maths.py" in archive.read(archive.pack(files)).sources


def tar_of(entries: list[tarfile.TarInfo], **options: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(
        fileobj=stream, mode="w", format=options.get("format", tarfile.USTAR_FORMAT)
    ) as tar:
        for entry in entries:
            data = FILES.get(entry.name, b"x" * entry.size)
            if entry.isreg():
                entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def info(name: str, **fields: object) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(entry, field, value)
    return entry


WHOLE = ["README.md", "algorithm.py", "bundle.toml"]


@pytest.mark.parametrize(
    "entries",
    [
        [info(name) for name in WHOLE],  # no files.json
        [info(name) for name in reversed(WHOLE)],
        [info(name, mtime=1) for name in WHOLE],
        [info(name, mode=0o755) for name in WHOLE],
        [info(name, uname="ana") for name in WHOLE],
        [info(name) for name in [*WHOLE, "algorithm.py"]],
        [info(name) for name in [*WHOLE, "../evil.py"]],
        [info(name) for name in [*WHOLE, "/etc/evil.py"]],
        [*(info(name) for name in WHOLE), info("x.py", type=tarfile.SYMTYPE, linkname="/etc")],
        [*(info(name) for name in WHOLE), info("x.py", type=tarfile.LNKTYPE, linkname="README.md")],
        [*(info(name) for name in WHOLE), info("fifo.py", type=tarfile.FIFOTYPE)],
        [*(info(name) for name in WHOLE), info("folder", type=tarfile.DIRTYPE)],
        [info("README.md")],
        [],
    ],
)
def test_other_archives_are_refused(entries: list[tarfile.TarInfo]) -> None:
    with pytest.raises(ArchiveRefused):
        archive.read(tar_of(entries))


def test_bytes_behind_the_end_are_refused() -> None:
    for extra in (b"\0", b"\0" * 512, b"x" * 10240):
        with pytest.raises(ArchiveRefused):
            archive.read(BUNDLE.raw + extra)


@settings(max_examples=300)
@given(st.integers(0, len(BUNDLE.raw) - 1), st.integers(1, 255))
def test_one_changed_byte_never_gives_another_accepted_spelling(at: int, flip: int) -> None:
    changed = bytearray(BUNDLE.raw)
    changed[at] ^= flip
    with pytest.raises((ArchiveRefused, ManifestRefused)):
        archive.read(bytes(changed))


@given(st.binary(max_size=2000))
def test_any_bytes_are_refused_in_words(junk: bytes) -> None:
    with pytest.raises(ArchiveRefused):
        archive.read(junk)


def test_another_digest_than_expected_is_refused_first() -> None:
    with pytest.raises(BundleUnverified):
        archive.read(b"not even a tar", BUNDLE.digest)
    assert archive.read(BUNDLE.raw, BUNDLE.digest).digest == BUNDLE.digest


def test_limits() -> None:
    with pytest.raises(ArchiveRefused):
        archive.read(b"\0" * (archive.MAXIMUM_BYTES + 1))
    with pytest.raises(ArchiveRefused):
        archive.pack({**FILES, "big.txt": b"x" * (archive.MAXIMUM_FILE_BYTES + 1)})
    with pytest.raises(ArchiveRefused):
        archive.pack({**FILES, **{f"m{i}.py": b"" for i in range(archive.MAXIMUM_FILES)}})
    with pytest.raises(ArchiveRefused):
        archive.pack({"algorithm.py": b""})


def test_opening_from_folder_file_and_nowhere(tmp_path: Path) -> None:
    file = tmp_path / BUNDLE.filename
    file.write_bytes(BUNDLE.raw)
    assert opening.open_bundle(file).digest == opening.open_bundle(FOLDER).digest
    assert opening.signature_of(file, BUNDLE) is None
    for missing in (tmp_path / "nothing", tmp_path):
        with pytest.raises(BundleMissing):
            opening.open_bundle(missing)
    with pytest.raises(BundleMissing):
        opening.built_in_folder("../x")


KEY = PrivateKey.generate(seeded(b"author"))
CLOCK = ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


def test_an_author_vouches_for_exact_bytes(tmp_path: Path) -> None:
    signed = statement.sign(BUNDLE, KEY, CLOCK)
    assert statement.verify(BUNDLE, signed.envelope.raw).document.author == KEY.public
    other = archive.read(archive.pack({**FILES, "README.md": b"other"}))
    with pytest.raises(BundleUnverified):
        statement.verify(other, signed.envelope.raw)
    file = tmp_path / other.filename
    file.write_bytes(other.raw)
    file.with_name(file.name + ".sig").write_bytes(signed.envelope.raw)
    with pytest.raises(BundleUnverified):
        opening.signature_of(file, other)


def test_a_signature_by_another_key_is_refused() -> None:
    raw = statement.sign(BUNDLE, KEY, CLOCK).envelope.raw
    other = statement.sign(BUNDLE, PrivateKey.generate(seeded(b"other")), CLOCK).envelope
    import base64
    import json

    forged = json.loads(raw)
    forged["signatures"][0]["sig"] = base64.b64encode(other.signatures[0][1]).decode()
    with pytest.raises(SignatureInvalid):
        statement.verify(BUNDLE, json.dumps(forged).encode())
