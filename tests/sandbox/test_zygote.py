"""The real sandbox: honest jobs, clumsy jobs, limits, replacement, and what it leaves behind."""

from __future__ import annotations

import ast
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from capsule_runtime.errors import JobRefused, RootUidRefused, SandboxError, SandboxStartFailed
from capsule_runtime.sandbox import Job, Limits, Outcome, OutputField, Status, Zygote
from capsule_runtime.sandbox.inside.zygote import CONTROL_FD
from capsule_runtime.sandbox.layers import ALL, Layers
from capsule_runtime.sandbox.layout import Bind, find_layout
from capsule_runtime.sandbox.startup import Setup, find_bwrap
from capsule_runtime.sandbox.zygote import (
    CAPSULES_PER_TORCH_ZYGOTE,
    CAPSULES_PER_ZYGOTE,
    share_of,
)
from jobs.libraries import RUNTIMES

pytestmark = pytest.mark.sandbox
MakeJob = Callable[..., Job]
Once = Callable[..., Outcome]
Columns = Callable[..., bytes]
RunAs = tuple[int, int] | None

COUNT = "def contribute(capsule, parameters):\n    return [len(capsule)]\n"
SPIN = "def contribute(capsule, parameters):\n    while True:\n        pass\n"


def tree(pid: int) -> list[int]:
    """`pid` and everything below it."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            found += tree(int(child))
    return found


def descriptors() -> list[str]:
    """What this process has open."""
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def zygote_pid(zygote: Zygote) -> int:
    """The zygote's own pid on the host: the last of bubblewrap's chain while no child runs."""
    assert zygote.process_id is not None
    return tree(zygote.process_id)[-1]


def all_gone(pids: list[int], seconds: float) -> bool:
    """Whether every process ends within `seconds`, watched through pidfds."""
    for pid in pids:
        try:
            watch = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([watch], [], [], seconds)[0]:
                return False
        finally:
            os.close(watch)
    return True


def test_a_host_with_sixty_open_files_starts_sandboxes_too(
    run_as: RunAs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The channel had the number that the zygote moves it to, and no sandbox started."""
    paired = socket.socketpair

    def at_sixty(*of: int) -> tuple[socket.socket, socket.socket]:
        ours, theirs = paired(*of)
        os.dup2(theirs.fileno(), CONTROL_FD)
        theirs.close()
        return ours, socket.socket(fileno=CONTROL_FD)

    held = os.open(os.devnull, os.O_RDONLY)  # whatever of this process has that number
    taken = CONTROL_FD in map(int, descriptors())
    spare = os.dup(CONTROL_FD) if taken else held
    try:
        with monkeypatch.context() as patched:
            patched.setattr(socket, "socketpair", at_sixty)
            zygote = Zygote.start(run_as=run_as)
        zygote.close()
    finally:
        if taken:
            os.dup2(spare, CONTROL_FD)
            os.close(spare)
        os.close(held)


def test_a_numpy_job_counts_an_owners_rows(zygote: Zygote, once: Once, columns: Columns) -> None:
    source = b"""
import numpy as np
from helpers.cells import cell

def contribute(capsule, parameters):
    trips = capsule["commute"]
    flows = np.zeros((3, 3), dtype=np.int64)
    np.add.at(flows, cell(trips, parameters["bands"]), 1)
    return {"flows": flows, "distance": [trips["distance"].sum()]}
"""
    helper = b"def cell(t, n):\n    return t['home'] % n, t['work'] % n\n"
    job = Job(
        sources={"algorithm.py": source, "helpers/cells.py": helper},
        entry="algorithm:contribute",
        parameters=b'{"bands": 3}',
        outputs=(OutputField("flows", "int64", (3, 3)), OutputField("distance", "float64", (1,))),
        limits=Limits(1024, 10, 20.0),
    )
    home, work = np.arange(12), np.arange(12) * 2
    data = columns({"commute": {"home": home, "work": work, "distance": np.linspace(0, 1, 12)}})
    outcome = once(zygote, job, data)
    assert outcome.status is Status.ok
    assert outcome.frame is not None
    assert len(outcome.frame) == job.frame_bytes == 80
    flows = np.frombuffer(outcome.frame, "<i8", 9).reshape(3, 3)
    assert flows.tolist() == [[4, 0, 0], [0, 0, 4], [0, 4, 0]]
    assert np.frombuffer(outcome.frame, "<f8", 1, 72)[0] == np.linspace(0, 1, 12).sum()
    assert outcome.stderr == b""
    assert outcome.peak_rss_kib > 1000
    assert 0 < outcome.wall_seconds < 20


def test_an_aggregate_arrives_in_its_shape(
    zygote: Zygote, once: Once, make_job: MakeJob, columns: Columns
) -> None:
    source = """
def contribute(aggregate, parameters):
    assert aggregate["flows"].shape == (2, 3), aggregate["flows"].shape
    return aggregate["flows"].sum(axis=0)
"""
    data = columns({"aggregate": {"flows": np.arange(6).reshape(2, 3)}}, shaped=True)
    outcome = once(zygote, make_job(source, shape=(3,)), data)
    assert outcome.frame == np.array([3, 5, 7], "<i8").tobytes()


def test_the_owners_columns_are_read_only(
    zygote: Zygote, once: Once, make_job: MakeJob, columns: Columns
) -> None:
    source = """
def contribute(capsule, parameters):
    refusals = 0
    try:
        capsule["t"]["x"][0] = 7
    except ValueError:
        refusals += 1
    for mapping in (capsule, capsule["t"]):
        try:
            mapping["new"] = 1
        except TypeError:
            refusals += 1
    return [refusals]
"""
    outcome = once(zygote, make_job(source), columns({"t": {"x": np.arange(3)}}))
    assert outcome.frame == (3).to_bytes(8, "little")


NUMERICS = """
import numpy as np

def contribute(capsule, parameters):
    rng = np.random.default_rng(7)
    m = rng.normal(size=(40, 40))
    return np.concatenate([
        np.linalg.svd(m)[1], np.abs(np.fft.rfft(m[0])), (m @ m)[0], np.exp(m[1]), np.sin(m[2]),
        [m.sum(), np.std(m), np.median(m), np.corrcoef(m)[0, 1], np.linalg.det(m)],
        np.sort(m[3]), np.linalg.solve(m, m[4]), np.cumsum(m[5]),
        list({hash(word) % 1000 for word in ("a", "bc", "def")})[:1],
    ])
"""


def test_the_same_bits_come_out_with_and_without_the_confinement(
    zygote: Zygote, once: Once, make_job: MakeJob, run_as: RunAs
) -> None:
    job = make_job(NUMERICS, shape=(307,), dtype="float64")
    confined = once(zygote, job)
    open_layers = replace(ALL, syscalls=False, exec_ban=False, arch_check=False, landlock=False)
    setup = Setup(find_layout(("numpy",)), find_bwrap(), run_as, layers=open_layers)
    with Zygote(setup) as loose:
        unconfined = once(loose, job)
    assert confined.status is unconfined.status is Status.ok
    assert confined.frame == unconfined.frame


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("def contribute(c, p):\n    raise ValueError('no')\n", Status.error),
        ("def contribute(c, p):\n    raise SystemExit(0)\n", Status.error),
        ("def contribute(c, p:\n", Status.error),
        ("x = 1\n", Status.error),
        ("import pandas\ndef contribute(c, p):\n    return [1]\n", Status.error),
        ("import ctypes\ndef contribute(c, p):\n    ctypes.string_at(8)\n", Status.error),
        ("import os\ndef contribute(c, p):\n    os.abort()\n", Status.error),
        ("import os\ndef contribute(c, p):\n    os._exit(0)\n", Status.refused_output),
        ("def contribute(c, p):\n    return None\n", Status.refused_output),
        ("def contribute(c, p):\n    return [1, 2]\n", Status.refused_output),
        ("def contribute(c, p):\n    return [1.5]\n", Status.refused_output),
        ("def contribute(c, p):\n    return {'other': [1]}\n", Status.refused_output),
        ("def contribute(c, p):\n    return [2 ** 63]\n", Status.refused_output),
        (
            "import os\ndef contribute(c, p):\n    os.write(3, bytes(12))\n    return [1]\n",
            Status.refused_output,
        ),
        (
            "import os\ndef contribute(c, p):\n    os.write(3, b'\\xff' * 12)\n    os._exit(0)\n",
            Status.refused_output,
        ),
        ("def contribute(c, p):\n    return [len('x' * (4 << 30))]\n", Status.killed_limit),
        (
            "import numpy as np\ndef contribute(c, p):\n    return [np.ones(1 << 32).sum()]\n",
            Status.killed_limit,
        ),
        ("import os\ndef contribute(c, p):\n    os.fork()\n    return [1]\n", Status.killed_policy),
        ("def contribute(c, p):\n    print('x' * 100000)\n    return [1]\n", Status.ok),
    ],
)
def test_every_end_is_one_of_five_words(
    zygote: Zygote, once: Once, make_job: MakeJob, source: str, status: Status
) -> None:
    outcome = once(zygote, make_job(source))
    assert outcome.status is status
    assert (outcome.frame is not None) == (status is Status.ok)
    assert outcome.stderr == b""


def test_cpu_time_is_limited(zygote: Zygote, once: Once, make_job: MakeJob) -> None:
    outcome = once(zygote, make_job(SPIN, limits=Limits(1024, 1, 30.0)))
    assert outcome.status is Status.killed_limit
    assert 0.9 < outcome.cpu_seconds < 2.5


def test_wall_time_is_limited(zygote: Zygote, once: Once, make_job: MakeJob) -> None:
    source = "import time\ndef contribute(c, p):\n    time.sleep(3600)\n"
    outcome = once(zygote, make_job(source, limits=Limits(1024, 10, 0.3)))
    assert outcome.status is Status.killed_limit
    assert 0.3 <= outcome.wall_seconds < 5


def test_unseeded_randomness_fails_and_seeded_repeats(
    zygote: Zygote, once: Once, make_job: MakeJob
) -> None:
    body = (
        "import numpy as np\n"
        "def contribute(c, p):\n"
        "    return np.random.default_rng({}).random(1)\n"
    )
    assert once(zygote, make_job(body.format(""), dtype="float64")).status is Status.error
    first, second = (
        once(zygote, make_job(body.format("5"), dtype="float64")).frame for _ in range(2)
    )
    assert first == second is not None


def test_an_author_sees_the_traceback_of_a_run_on_mock_data(
    once: Once, make_job: MakeJob, run_as: RunAs
) -> None:
    source = "def contribute(c, p):\n    print('half way')\n    return 1 / 0\n"
    with Zygote.start(run_as=run_as, keep_stderr=True) as zygote:
        failed = once(zygote, make_job(source))
        wrong = once(zygote, make_job("def contribute(c, p):\n    return [1, 2]\n"))
        long = once(
            zygote, make_job("def contribute(c, p):\n    print('x' * 1000000)\n    return [1]\n")
        )
    assert failed.status is Status.error
    assert b"half way" in failed.stderr
    assert b'File "bundle/algorithm.py", line 3' in failed.stderr
    assert b"ZeroDivisionError" in failed.stderr
    assert long.status is Status.ok
    assert long.stderr == b"x" * 4096
    assert wrong.stderr == b"output refused: 'answer' has the shape (2,), declared is (1,)\n"


def test_a_forbidden_call_replaces_the_zygote(once: Once, make_job: MakeJob, run_as: RunAs) -> None:
    with Zygote.start(run_as=run_as) as zygote:
        once(zygote, make_job(COUNT))
        assert zygote.starts == 1
        killed = once(zygote, make_job("import os\ndef contribute(c, p):\n    os.fork()\n"))
        assert killed.status is Status.killed_policy
        assert once(zygote, make_job(COUNT)).status is Status.ok
        assert zygote.starts == 2


def test_the_zygote_is_replaced_after_its_share_of_capsules(
    make_job: MakeJob, columns: Columns, run_as: RunAs
) -> None:
    with Zygote.start(run_as=run_as) as zygote, zygote.load(make_job(COUNT)) as loaded:
        for _ in range(CAPSULES_PER_ZYGOTE):
            assert zygote.run(loaded, columns({})).status is Status.ok
        assert zygote.starts == 1
        zygote.run(loaded, columns({}))
        assert zygote.starts == 2


def test_a_sandbox_that_takes_long_to_start_serves_more_runs() -> None:
    assert share_of(RUNTIMES["numpy"]) == share_of(RUNTIMES["flwr"]) == CAPSULES_PER_ZYGOTE
    for runtime in ("torch", "torch_geometric", "flwr_torch"):
        assert share_of(RUNTIMES[runtime]) == CAPSULES_PER_TORCH_ZYGOTE


def test_a_dead_zygote_is_an_outcome_and_the_next_run_has_a_new_one(
    once: Once, make_job: MakeJob, run_as: RunAs
) -> None:
    with Zygote.start(run_as=run_as) as zygote:
        pid = zygote_pid(zygote)
        timer = threading.Timer(0.2, os.kill, (pid, signal.SIGKILL))
        timer.start()
        outcome = once(zygote, make_job(SPIN))
        timer.join()
        assert outcome == Outcome(Status.error)
        assert once(zygote, make_job(COUNT)).status is Status.ok
        os.kill(zygote.process_id or 0, signal.SIGKILL)  # between two runs, this time
        assert once(zygote, make_job(COUNT)).status in {Status.ok, Status.error}
        assert once(zygote, make_job(COUNT)).status is Status.ok


def test_a_zygote_that_stops_answering_is_killed_by_the_host(
    once: Once, make_job: MakeJob, run_as: RunAs
) -> None:
    with Zygote.start(run_as=run_as) as zygote:
        processes = tree(zygote.process_id or 0)
        os.kill(processes[-1], signal.SIGSTOP)
        outcome = once(zygote, make_job(COUNT, limits=Limits(1024, 1, 0.1)))
        assert outcome == Outcome(Status.killed_limit)
        assert all_gone(processes, 5)
        assert once(zygote, make_job(COUNT)).status is Status.ok


def test_two_zygotes_work_at_once(make_job: MakeJob, columns: Columns, run_as: RunAs) -> None:
    def work(seed: int) -> list[bytes | None]:
        data = columns({f"t{n}": {"x": np.arange(2)} for n in range(seed)})
        with Zygote.start(run_as=run_as) as zygote, zygote.load(make_job(COUNT)) as loaded:
            return [zygote.run(loaded, data).frame for _ in range(20)]

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(work, [3, 5]))
    assert answers == [[n.to_bytes(8, "little")] * 20 for n in (3, 5)]


HOST = """
import sys
from capsule_runtime.sandbox import *
run_as = (int(sys.argv[1]),) * 2 if sys.argv[1] != "none" else None
zygote = Zygote.start(run_as=run_as)
job = Job({"a.py": b"def f(c, p):\\n    while True:\\n        pass"}, "a:f", b"{}",
          (OutputField("x", "int64", (1,)),), Limits(1024, 600, 600.0))
print(zygote.process_id, flush=True)
zygote.run(zygote.load(job), b'CADCOL1\\n\\x0d\\x00\\x00\\x00{"tables":{}}')
"""


@pytest.mark.processes
def test_nothing_outlives_a_killed_host(run_as: RunAs) -> None:
    argument = str(run_as[0]) if run_as else "none"
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, argument],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert host.stdout is not None
    with host, host.stdout:
        bwrap = int(host.stdout.readline())
        processes = tree(bwrap)
        while len(processes) < 4:  # outer and inner bubblewrap, zygote, the spinning child
            processes = tree(bwrap)
        host.kill()
    assert all_gone(processes, 5)


def test_no_descriptor_and_no_process_is_left_behind(
    once: Once, make_job: MakeJob, run_as: RunAs
) -> None:
    before = descriptors()
    with Zygote.start(run_as=run_as) as zygote:
        processes = tree(zygote.process_id or 0)
        job = make_job(COUNT)
        for _ in range(5):
            once(zygote, job)
        once(zygote, make_job("import os\ndef contribute(c, p):\n    os.fork()\n"))
        once(zygote, make_job(SPIN, limits=Limits(1024, 5, 0.1)))
    assert descriptors() == before
    assert all_gone(processes, 5)


def test_the_zygote_has_one_thread_and_no_shared_writable_memory(zygote: Zygote) -> None:
    pid = zygote_pid(zygote)
    assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    if os.geteuid() == 0:
        assert " rw-s " not in Path(f"/proc/{pid}/maps").read_text()


def test_a_second_thread_stops_the_zygote_from_starting(run_as: RunAs, public_folder: Path) -> None:
    layout = find_layout(("numpy",))
    (public_folder / "restless.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    extra = Bind(public_folder / "restless.py", PurePosixPath("/libraries/restless.py"))
    layout = replace(layout, libraries=(*layout.libraries, extra))
    with pytest.raises(SandboxStartFailed, match="more than one thread"):
        Zygote(Setup(layout, find_bwrap(), run_as, modules=("restless",)))


def test_root_is_refused() -> None:
    with pytest.raises(RootUidRefused):
        Zygote.start(run_as=(0, 0))
    if os.geteuid() == 0:
        with pytest.raises(RootUidRefused, match="ordinary user"):
            Zygote.start()


def test_a_broken_bubblewrap_is_explained(run_as: RunAs, public_folder: Path) -> None:
    script = public_folder / "bwrap"
    script.write_text(
        "#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n"
    )
    script.chmod(0o755)
    before = descriptors()
    with pytest.raises(SandboxStartFailed, match="setting up uid map") as caught:
        Zygote.start(run_as=run_as, bwrap=script)
    assert "AppArmor" in caught.value.remedy
    assert descriptors() == before


def test_a_closed_job_and_a_closed_sandbox_say_so(
    make_job: MakeJob, columns: Columns, run_as: RunAs
) -> None:
    zygote = Zygote.start(run_as=run_as)
    loaded = zygote.load(make_job(COUNT))
    loaded.close()
    with pytest.raises(JobRefused, match="closed"):
        zygote.run(loaded, columns({}))
    zygote.close()
    zygote.close()
    with pytest.raises(SandboxError, match="closed"):
        zygote.run(loaded, columns({}))


def test_only_tests_take_a_layer_away() -> None:
    root = Path(__file__).parents[2]
    rooms = [path for path in root.iterdir() if path.name not in {"tests", "build", "dist"}]
    for path in (file for room in rooms for file in room.glob("**/*.py")):
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        for call in (
            node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Call)
        ):
            if (
                getattr(call.func, "id", "") in {"Layers", "replace"}
                and "Layers" in path.read_text()
            ):
                assert not call.args, path
                assert not call.keywords, path
    assert Layers() == ALL
    assert all(vars(ALL).values())
