"""A hostile author: archives that unfold, manifests that hang or crash, jobs that cannot run."""

from __future__ import annotations

import io
import resource
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import archive, manifest, opening, parameters
from jobs.errors import ArchiveRefused, ManifestRefused, ParametersRefused
from trust.documents.rules import Bound

FOLDER = opening.built_in_folder("example")
FILES = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.is_file()}
WHOLE = archive.pack(FILES)


def altered(old: str, new: str) -> bytes:
    text = FILES["bundle.toml"].decode()
    assert old in text
    return text.replace(old, new, 1).encode()


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type = size, kind
    return entry.tobuf(tarfile.USTAR_FORMAT)


def sparse(size: int) -> bytes:
    """One GNU sparse file without data that reads as `size` zeros."""
    entry = tarfile.TarInfo("a.md")
    entry.type = tarfile.GNUTYPE_SPARSE
    raw = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    raw[483:495] = b"%011o\0" % size
    total = sum(raw[:148]) + sum(raw[156:512]) + 8 * ord(" ")
    raw[148:156] = b"%06o\0 " % total
    return bytes(raw) + bytes(1024)


@pytest.fixture
def little_memory() -> Iterator[None]:
    """No more than 1 GiB above what is mapped now."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + (1 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.usefixtures("little_memory")
def test_a_sparse_file_of_two_kilobytes_does_not_unfold_into_four_gigabytes() -> None:
    with pytest.raises(ArchiveRefused):
        archive.read(sparse(1 << 32))


@pytest.mark.parametrize(
    "raw",
    [
        header("a.py", 1 << 32) + bytes(1024),  # claims more than there is
        header("a.py", 0)[:-1],
        header("a.py", 0, tarfile.XHDTYPE) + WHOLE,
        header("a.py", 0, tarfile.GNUTYPE_LONGNAME) + WHOLE,
        header("\ud800.py".encode("utf-8", "surrogatepass").decode("latin-1"), 0) + WHOLE,
        WHOLE.replace(b"ustar\x0000", b"ustar  \0", 1),
        WHOLE[:-512],
        WHOLE + bytes(512),
        WHOLE[:512] + b"\x01" + WHOLE[513:],
        bytes(10240),
        b"\x80" + WHOLE[1:],
        WHOLE[:124] + b"\x80" + bytes(10) + b"\x01" + WHOLE[136:],  # a base-256 size
        WHOLE[:124] + b"-0000000001\0" + WHOLE[136:],
        WHOLE[:124] + b" 1_0       \0" + WHOLE[136:],
    ],
)
def test_every_other_spelling_of_an_archive_is_refused(raw: bytes) -> None:
    with pytest.raises(ArchiveRefused):
        archive.read(raw)


def test_a_pax_record_cannot_rename_a_file_behind_the_readers_back() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as made:
        for name, data in sorted(FILES.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.pax_headers = len(data), {"path": "other.py", "size": "-512"}
            made.addfile(entry, io.BytesIO(data))
    with pytest.raises(ArchiveRefused):
        archive.read(stream.getvalue())


def test_a_path_too_long_for_the_format_is_the_authors_mistake_not_a_crash() -> None:
    deep = "/".join(["a" * 64] * 5) + ".py"
    with pytest.raises(ArchiveRefused):
        archive.pack({**FILES, deep: b""})


def test_sources_that_the_sandbox_would_refuse_are_refused_before_anybody_votes() -> None:
    half = b"#" * (5 << 19)
    with pytest.raises(ArchiveRefused, match="sources"):
        archive.read(archive.pack({**FILES, "a.py": half, "b.py": half}))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("memory_mib = 512", "memory_mib = 0x" + "F" * 5000),
        ("memory_mib = 512", "memory_mib = { a = 0x" + "F" * 5000 + " }"),
        ("step = 1\n", "step = 1e29\n"),
        ("step = 1\n", 'step = "1e-30"\n'),
    ],
)
def test_numbers_that_python_will_not_print_or_divide_are_refused_in_words(
    old: str, new: str
) -> None:
    with pytest.raises(ManifestRefused):
        manifest.read(altered(old, new))


@pytest.mark.parametrize("part", [".a", ". a", '."b c"', ".'d\"'", '."e\\"f"'])
def test_a_key_of_thousands_of_parts_is_refused_at_once(part: str) -> None:
    started = time.process_time()  # its own: other programs run here too
    with pytest.raises(ManifestRefused, match="parts"):
        manifest.read(altered("[mock.trips]", f"[mock.trips]\na{part * 8000} = 1"))
    assert time.process_time() - started < 2


@pytest.mark.parametrize("text", ['\\"', "'", "a", "a ", '"', ". "])
def test_looking_for_long_keys_is_itself_no_way_to_hang(text: str) -> None:
    started = time.process_time()  # its own: other programs run here too
    with pytest.raises(ManifestRefused):
        manifest.read(altered("[mock.trips]", text * (200_000 // len(text)) + "\n[mock.trips]"))
    assert time.process_time() - started < 5


def test_outputs_that_no_frame_can_carry_are_refused_before_anybody_votes() -> None:
    text = FILES["bundle.toml"].decode()
    start, end = text.index("[release.modes]"), text.index("[report.modes]")
    large = text[start:end].replace("[4]", "[1048576]")
    more = "".join(large.replace("release.modes", f"release.more{i}") for i in range(2))
    with pytest.raises(ManifestRefused, match="release"):
        manifest.read((text[:end] + more + text[end:]).encode())


def test_a_parameter_name_that_is_no_text_reaches_no_message() -> None:
    bounds = {"x": Bound("integer", "0", "9", ())}
    with pytest.raises(ParametersRefused) as caught:
        parameters.decode(b'{"\\ud800":1,"x":1}', bounds)
    caught.value.sentence.encode()
