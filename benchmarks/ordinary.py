"""Our own modules run as a user without privileges: nothing that holds capsules runs as root.

Started by an ordinary user a measurement stays that user; started by root it becomes the
worker's dedicated user, or a bare uid where that one does not exist. Where that user cannot read
this checkout, a readable copy is used, as the worker itself does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.errors import MeasurementFailed
from benchmarks.house import SCRATCH
from capsule_runtime.sandbox.layout import Reader, choose_interpreter
from worker import staging
from worker.privileges import DEDICATED_USER, Account, ThisHost

# Needs no entry in any file; the kernel knows users by number only.
BARE_UID = 64123
# From the end of its input to its own: it may have a worker to stop first.
PARTING_SECONDS = 30.0
COMPLAINT_CHARACTERS = 1500
_SKIPPED = shutil.ignore_patterns("__pycache__", "*.pyc")


def account() -> Account | None:
    """Whom to become; None: stay who started us."""
    host = ThisHost()
    if host.effective_uid() != 0:
        return None
    return host.account(DEDICATED_USER) or Account("nobody in particular", BARE_UID, BARE_UID)


@contextmanager
def process(module: str, arguments: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """`python -m module` as an ordinary user, stdin and stdout piped.

    Whoever uses it reads what it waits for; at the end of the block its input ends.
    Raises MeasurementFailed when it ends with anything but 0.
    """
    user = account()
    identity: dict[str, Any] = (
        {} if user is None else {"user": user.uid, "group": user.gid, "extra_groups": []}
    )
    with (
        tempfile.TemporaryDirectory(prefix="cadastre-bench-", dir=SCRATCH) as scratch,
        tempfile.TemporaryFile("w+") as complaints,
    ):
        interpreter, path = _program(user, Path(scratch))
        child = subprocess.Popen(
            [*interpreter, "-B", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONPATH": path},
            **identity,
        )
        with child:
            assert child.stdin is not None
            try:
                yield child
            finally:
                # Its input ends with the block: it winds up what it started itself.
                child.stdin.close()
                try:
                    status = child.wait(PARTING_SECONDS)
                except subprocess.TimeoutExpired:
                    child.kill()
                    status = child.wait()
        if status != 0:
            complaints.seek(0)
            raise failed(module, complaints.read())


def failed(what: str, words: str) -> MeasurementFailed:
    """The refusal for a child that broke off, with the end of what it said."""
    tail = words.strip()[-COMPLAINT_CHARACTERS:]
    return MeasurementFailed(
        f"{what} broke off: {tail or 'it said nothing'}",
        remedy="where the sandbox does not start, `cadastre doctor` says why; else report this",
    )


def _program(user: Account | None, scratch: Path) -> tuple[list[str], str]:
    """The interpreter's command and the path to our packages, both readable by `user`."""
    here = Path(__file__).resolve().parent
    if user is None:
        return [sys.executable], str(here.parent)
    reader = Reader(user.uid, frozenset({user.gid}))
    if staging.readable(user) and reader.can_read(here):
        return [sys.executable], str(here.parent)
    home = staging.stage()
    scratch.chmod(staging.PUBLIC_DIRECTORY)
    copy = scratch / here.name
    shutil.copytree(here, copy, ignore=_SKIPPED)
    for path in (copy, *copy.rglob("*")):
        path.chmod(staging.PUBLIC_DIRECTORY if path.is_dir() else 0o644)
    python = str(choose_interpreter().executable)
    return [python, "-s", "-S"], os.pathsep.join((str(home), str(scratch)))
