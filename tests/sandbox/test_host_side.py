"""The pure and the file-touching parts around the sandbox: command, layout, image, staging."""

from __future__ import annotations

import signal
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsule_runtime.errors import (
    JobRefused,
    LibraryMissing,
    RootUidRefused,
    RuntimeUnreadable,
    SandboxUnavailable,
)
from capsule_runtime.sandbox import (
    Job,
    Limits,
    Outcome,
    OutputField,
    Status,
    Zygote,
    command,
    exchange,
    next_slot,
    selftest,
    staging,
    startup,
)
from capsule_runtime.sandbox.image import RuntimeImage
from capsule_runtime.sandbox.inside import harness
from capsule_runtime.sandbox.layers import ALL, Layers
from capsule_runtime.sandbox.layout import Bind, Layout, Reader, find_layout, readable_by_others
from capsule_runtime.sandbox.packing import MAXIMUM_DATA_BYTES, pack, sealed_data
from capsule_runtime.sandbox.selftest import Level, SandboxLevel
from capsule_runtime.sandbox.staging import stage

SMALL = Limits(256, 1, 1.0)


def layout_of(*libraries: Bind, inside: Path = Path("/opt/inside")) -> Layout:
    return Layout(
        executable=Bind(Path("/usr/bin/python3.11"), PurePosixPath("/usr/bin/python3.11")),
        stdlib=(Bind(Path("/usr/lib/python3.11"), PurePosixPath("/usr/lib/python3.11")),),
        system=(Path("/usr/lib/x86_64-linux-gnu"), Path("/usr/lib64")),
        libraries=libraries,
        library_names=("numpy",),
        inside=Bind(inside, PurePosixPath("/runtime/cadastre_inside")),
    )


def test_the_command_line_is_exactly_this() -> None:
    numpy = Bind(Path("/venv/numpy"), PurePosixPath("/libraries/numpy"))
    boot = command.Boot(Path("/usr/bin/bwrap"), control_fd=7, filter_fd=9)
    words = " ".join(command.arguments(layout_of(numpy), boot))
    assert words == (
        "/usr/bin/bwrap --unshare-user --disable-userns --assert-userns-disabled --unshare-ipc "
        "--unshare-pid --unshare-net --unshare-uts --unshare-cgroup-try --hostname capsule "
        "--uid 65534 --gid 65534 --die-with-parent --new-session --cap-drop ALL "
        "--clearenv --setenv LC_ALL C.UTF-8 --setenv HOME /tmp --setenv PATH /nonexistent "
        "--setenv PYTHONHASHSEED 0 --setenv PYTHONDONTWRITEBYTECODE 1 --setenv OMP_NUM_THREADS 1 "
        "--setenv OPENBLAS_NUM_THREADS 1 --setenv MKL_NUM_THREADS 1 "
        "--symlink usr/lib /lib --symlink usr/lib64 /lib64 "
        "--ro-bind /usr/lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu "
        "--ro-bind /usr/lib64 /usr/lib64 "
        "--ro-bind /usr/bin/python3.11 /usr/bin/python3.11 "
        "--ro-bind /usr/lib/python3.11 /usr/lib/python3.11 "
        "--ro-bind /venv/numpy /libraries/numpy "
        "--ro-bind /opt/inside /runtime/cadastre_inside "
        "--dir /tmp --dev-bind /dev/null /dev/null --dev-bind /dev/urandom /dev/urandom "
        "--ro-bind /proc/cpuinfo /proc/cpuinfo --remount-ro / --chdir /tmp --seccomp 9 -- "
        "/usr/bin/python3.11 -P -s -S -B -c import sys; "
        "sys.path[:0] = ['/runtime', '/libraries']; "
        "from cadastre_inside.zygote import main; main() 7"
    )


def test_a_library_is_its_own_folders_and_nothing_else() -> None:
    layout = find_layout(("numpy",))
    assert {bind.target.name for bind in layout.libraries} == {"numpy", "numpy.libs"}
    assert "site-packages" not in {bind.source.name for bind in layout.binds}
    with pytest.raises(LibraryMissing, match="no-such-library"):
        find_layout(("no-such-library",))


def test_readability_follows_bits_owner_and_group(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    file = tmp_path / "file"
    file.write_text("x")
    owner = file.stat()
    assert not readable_by_others(file)
    assert Reader(owner.st_uid).can_read(file) == Reader(owner.st_uid).can_read(tmp_path)
    assert readable_by_others(Path("/usr/bin/env"))
    assert not readable_by_others(Path("/nonexistent"))


def test_the_identity_must_not_be_root() -> None:
    for run_as, uid in (((0, 5), 1), ((5, 0), 1), (None, 0)):
        with pytest.raises(RootUidRefused):
            startup.check_identity(run_as, uid)
    startup.check_identity((5, 5), 0)
    startup.check_identity(None, 1000)


def test_a_missing_bubblewrap_names_the_package() -> None:
    with pytest.raises(SandboxUnavailable) as caught:
        startup.find_bwrap(Path("/nonexistent/bwrap"))
    assert caught.value.remedy == "apt install bubblewrap"


# --- the image ---


def test_the_image_is_its_sources(tmp_path: Path) -> None:
    def image() -> str:
        layout = replace(layout_of(inside=tmp_path), stdlib=())
        return RuntimeImage.of(layout).digest

    (tmp_path / "a.py").write_text("1")
    first = image()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("cache")
    assert image() == first == image()
    (tmp_path / "a.py").write_text("2")
    second = image()
    (tmp_path / "link").symlink_to("/nonexistent")
    assert len({first, second, image()}) == 3


def test_the_image_lists_what_it_covers() -> None:
    files = dict(RuntimeImage.of(find_layout(("numpy",))).files)
    for name in ("interpreter/", "stdlib/", "library/numpy/", "inside/", "filter/stage2"):
        assert any(path.startswith(name) for path in files), name
    assert not any("__pycache__" in path for path in files)


# --- staging ---


@pytest.mark.sandbox
def test_a_private_runtime_is_staged_verified_and_runs(
    tmp_path: Path,
    public_folder: Path,
    run_as: tuple[int, int] | None,
    make_job: Callable[..., Job],
    once: Callable[..., Outcome],
) -> None:
    import shutil

    found = find_layout(("numpy",))
    private = tmp_path / "private" / "inside"
    shutil.copytree(found.inside.source, private)
    private.parent.chmod(0o700)
    source = replace(found, inside=Bind(private, found.inside.target))
    staged = stage(source, public_folder)
    assert staged.inside.source.is_relative_to(public_folder)
    assert RuntimeImage.of(staged).digest == RuntimeImage.of(source).digest
    job = make_job("def contribute(c, p):\n    return [7]\n")
    with Zygote.start(run_as=run_as, layout=staged) as zygote:
        assert once(zygote, job).frame == (7).to_bytes(8, "little")
    # A copy that was damaged, or half made, is made again.
    assert stage(source, public_folder) == staged
    (staged.inside.source / "zygote.py").write_text("raise SystemExit")
    assert stage(source, public_folder) == staged
    assert RuntimeImage.of(staged).digest == RuntimeImage.of(source).digest
    assert [path.name for path in public_folder.iterdir()] == [
        staged.inside.source.relative_to(public_folder).parts[0]
    ]


def test_two_that_stage_at_once_share_the_copy_that_was_first(
    tmp_path: Path, public_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (private / "a.py").write_text("1")
    source = replace(find_layout(("numpy",)), inside=Bind(private, PurePosixPath("/runtime/a")))
    publish, first = staging._publish, list[Layout]()

    def meanwhile(building: Path) -> None:
        """The other one begins and ends while this one has not named its copy yet."""
        publish(building)
        monkeypatch.setattr(staging, "_publish", publish)
        first.append(stage(source, public_folder))

    monkeypatch.setattr(staging, "_publish", meanwhile)
    assert [stage(source, public_folder)] == first
    assert [path.name for path in public_folder.iterdir()] == [
        first[0].inside.source.relative_to(public_folder).parts[0]
    ]


def test_staging_into_a_private_place_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "inside").mkdir()
    source = layout_of(inside=tmp_path / "inside")
    with pytest.raises(RuntimeUnreadable, match="private"):
        stage(source, tmp_path / "target")


# --- jobs and frames ---


@pytest.mark.parametrize(
    "change",
    [
        {"entry": "algorithm"},
        {"entry": "algorithm:f()"},
        {"sources": {}},
        {"sources": {"../x.py": b""}},
        {"sources": {"/x.py": b""}},
        {"sources": {"x.so": b""}},
        {"sources": {"x.py": bytes(5 << 20)}},
        {"parameters": b"[]"},
        {"parameters": b"{"},
        {"parameters": b"[" * 100_000},
        {"outputs": ()},
        {"outputs": (OutputField("x", "int64", (1,)),) * 2},
        {"outputs": (OutputField("x", "int64", (1 << 30,)),)},
    ],
)
def test_an_odd_job_is_refused(change: dict[str, object]) -> None:
    fields: dict[str, object] = {
        "sources": {"a.py": b""},
        "entry": "a:f",
        "parameters": b"{}",
        "outputs": (OutputField("x", "int64", (1,)),),
        "limits": SMALL,
    }
    with pytest.raises(JobRefused) as caught:
        Job(**{**fields, **change})  # type: ignore[arg-type]
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("memory", "cpu", "wall"),
    [(0, 1, 1.0), (1, 0, 1.0), (1, 1, 0.0), (1, 1, float("nan")), (1, 1, float("inf"))],
)
def test_odd_limits_and_outputs_are_refused(memory: int, cpu: int, wall: float) -> None:
    with pytest.raises(JobRefused):
        Limits(memory, cpu, wall)
    with pytest.raises(JobRefused):
        OutputField("x", "object", (1,))
    with pytest.raises(JobRefused):
        OutputField("x", "int64", (0,))


def test_too_much_data_is_refused() -> None:
    with pytest.raises(JobRefused, match="bytes"):
        sealed_data(bytes(MAXIMUM_DATA_BYTES + 1))


names = st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8})?\.py", fullmatch=True)


@given(
    st.dictionaries(names, st.binary(max_size=200), min_size=1, max_size=5),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)
def test_a_job_is_read_back_as_it_was(
    sources: dict[str, bytes], parameters: dict[str, int]
) -> None:
    import json

    job = Job(
        sources,
        "a.b:f",
        json.dumps(parameters).encode(),
        (OutputField("x", "int64", (2, 3)),),
        SMALL,
    )
    read = harness.unpack(pack(job))
    assert (read.sources, read.parameters, read.entry) == (sources, job.parameters, job.entry)
    assert read.outputs == [("x", "int64", (2, 3))]


def test_the_inside_decoder_reads_what_the_format_writes() -> None:
    columns = pytest.importorskip("protection.columns")
    tables = {
        "t": {"a": np.arange(3), "b": np.array([1.5, -2.0, 0.25])},
        "aggregate": {"m": np.arange(6.0).reshape(2, 3), "n": np.arange(2)},
    }
    decoded = harness.decode(columns.encode(tables))
    for table, wanted in tables.items():
        for name, array in wanted.items():
            np.testing.assert_array_equal(decoded[table][name], array)
            assert not decoded[table][name].flags.writeable


@given(st.binary(max_size=40), st.integers(0, 4), st.sampled_from([0, 1, 71, 72, 73, 255]))
def test_a_frame_counts_only_when_exact_and_after_a_clean_exit(
    content: bytes, words: int, code: int
) -> None:
    report = exchange.Report(
        code << 8, stopped=False, cpu_seconds=0, wall_seconds=0, peak_rss_kib=0
    )
    size = 8 * words
    for written in (
        content,
        struct.pack("<I", size) + content,
        struct.pack("<I", size) + bytes(size),
    ):
        outcome = exchange.judge(
            report, exchange.Written(written, overflowed=False, stderr=b""), size
        )
        exact = len(written) == size + 4 and written[:4] == struct.pack("<I", size)
        assert (outcome.status is Status.ok) == (exact and code == 0)
        assert (outcome.frame is None) == (outcome.status is not Status.ok)


@pytest.mark.parametrize(
    ("status", "stopped", "word"),
    [
        (signal.SIGSYS, False, Status.killed_policy),
        (signal.SIGSYS, True, Status.killed_policy),
        (signal.SIGKILL, False, Status.killed_limit),
        (signal.SIGKILL, True, Status.killed_limit),
        (signal.SIGXCPU, False, Status.killed_limit),
        (signal.SIGSEGV, False, Status.error),
        (71 << 8, False, Status.error),
        (72 << 8, False, Status.killed_limit),
        (73 << 8, False, Status.refused_output),
        (99 << 8, False, Status.error),
    ],
)
def test_every_status_has_its_word(status: int, *, stopped: bool, word: Status) -> None:
    report = exchange.Report(int(status), stopped, 0.0, 0.0, 0)
    written = exchange.Written(b"\x08\0\0\0" + bytes(8), overflowed=False, stderr=b"")
    assert exchange.judge(report, written, 8).status is word


# --- slots, levels ---


@given(st.floats(0, 1e6), st.floats(1e-3, 1e4))
def test_a_slot_is_never_early_and_never_a_whole_slot_late(elapsed: float, slot: float) -> None:
    release = next_slot(elapsed, slot)
    assert elapsed <= release
    assert release >= slot
    assert release - elapsed <= slot * (1 + 1e-9) + elapsed * 1e-9


@pytest.mark.parametrize(
    ("elapsed", "slot"), [(-1, 1), (1, 0), (float("nan"), 1), (1, float("inf"))]
)
def test_an_odd_slot_is_refused(elapsed: float, slot: float) -> None:
    with pytest.raises(JobRefused):
        next_slot(elapsed, slot)


def test_levels() -> None:
    assert selftest.grade(7, bounded=True) == SandboxLevel(Level.L3, ())
    assert selftest.grade(7, bounded=False).level is Level.L2
    low = selftest.grade(2, bounded=False)
    assert low.level is Level.L2
    assert len(low.reasons) == 2
    low.require(Level.L2)
    with pytest.raises(SandboxUnavailable, match="ABI 2"):
        low.require(Level.L3)


@pytest.mark.parametrize(
    ("membership", "file", "limit", "bounded"),
    [
        ("0::/a/b\n", "a/memory.max", "1000\n", True),
        ("0::/a/b\n", "a/memory.max", "max\n", False),
        ("0::/\n", "other", "1", False),
        ("4:memory:/x\n0::/\n", "memory/x/memory.limit_in_bytes", "5000", True),
        ("4:memory:/x\n", "memory/x/memory.limit_in_bytes", "9223372036854771712", False),
    ],
)
def test_a_memory_cgroup_is_found(
    tmp_path: Path, membership: str, file: str, limit: str, *, bounded: bool
) -> None:
    (tmp_path / "self").write_text(membership)
    place = tmp_path / "root" / file
    place.parent.mkdir(parents=True)
    place.write_text(limit)
    assert selftest.memory_is_bounded(tmp_path / "self", tmp_path / "root") is bounded
    assert not selftest.memory_is_bounded(tmp_path / "none", tmp_path)


@pytest.mark.sandbox
def test_this_machine_passes_the_self_test(run_as: tuple[int, int] | None) -> None:
    found = selftest.assess(run_as=run_as)
    assert found.level >= Level.L2, found.reasons


def failures(run_as: tuple[int, int] | None, layers: Layers) -> list[str]:
    setup = startup.Setup(find_layout(("numpy",)), startup.find_bwrap(), run_as, layers=layers)
    with Zygote(setup) as zygote:
        return selftest._failures(zygote)


@pytest.mark.sandbox
def test_executable_memory_is_noticed_although_its_address_is_wide(
    run_as: tuple[int, int] | None,
) -> None:
    assert failures(run_as, replace(ALL, exec_ban=False)) == [
        "the canary executable_memory was not stopped, it should have been denied"
    ]


@pytest.mark.sandbox
def test_without_the_filter_every_canary_sings(run_as: tuple[int, int] | None) -> None:
    bare = replace(ALL, syscalls=False, exec_ban=False, landlock=False, rlimits=False)
    found = failures(run_as, bare)
    assert [line.split()[2] for line in found] == list(selftest.CANARIES)


def test_without_a_sandbox_the_level_is_0_with_the_words_and_the_fix(
    run_as: tuple[int, int] | None, public_folder: Path
) -> None:
    script = public_folder / "bwrap"
    words = (
        "bwrap: Creating new namespace failed: "
        "nesting depth or /proc/sys/user/max_*_namespaces exceeded (ENOSPC)"
    )
    script.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 1\n")
    script.chmod(0o755)
    found = selftest.assess(run_as=run_as, bwrap=script)
    assert found.level is Level.L0
    assert words in found.reasons[0]
    assert "user.max_user_namespaces" in found.reasons[0]
    with pytest.raises(SandboxUnavailable):
        found.require()
