"""What tests of the audit ask of any builder's evidence, whatever protects its campaign."""

from __future__ import annotations

import dataclasses
import functools
import http.server
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from audit.download import Fetched, download
from audit.evidence import EvidenceFolder
from audit.policy import AuditPolicy
from audit.replay import Verdict, audit
from tests.audit.evidence_builder import (
    EvidenceBuilder,
    FilesEvidence,
    change,
    object_path,
    write,
)

B = TypeVar("B", bound=EvidenceBuilder)


def verdict_of(builder: EvidenceBuilder, files: dict[str, bytes] | None = None) -> Verdict:
    """What an auditor says who pinned the builder's root."""
    evidence = FilesEvidence(builder.files() if files is None else files)
    return audit(evidence, AuditPolicy(builder.pin))


def found(verdict: Verdict, check: str) -> str:
    """What one check says that it found."""
    (line,) = [line for line in verdict.journal.lines if line.check == check]
    return line.found


def require_honest(verdict: Verdict) -> None:
    """Every check holds."""
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]


def require_named(verdict: Verdict, check: str) -> None:
    """The lie is named by its check, which could read what it was shown."""
    assert check in verdict.journal.failed, verdict.journal.lines
    assert not any("could not read it" in line.found for line in verdict.journal.lines)


def require_object_counts(builder: EvidenceBuilder, name: str) -> None:
    """One object, changed or missing, is found."""
    files = builder.files()
    path = object_path(builder.kinds[name])
    path = path if path in files else f"restricted/{path}"
    data = bytearray(files[path])
    data[len(data) // 2] ^= 1
    verdict = verdict_of(builder, {**files, path: bytes(data)})
    assert verdict.journal.failed == ("objects.digests",)
    del files[path], files["objects/index"]
    assert verdict_of(builder, files).journal.failed


def require_bits_count(builder: EvidenceBuilder, bits: int, seed: int) -> None:
    """Each of so many flipped bits, drawn over all files, is found."""
    drawn = random.Random(seed)
    files = builder.files()
    paths = sorted(files)
    for _ in range(bits):
        path = drawn.choice(paths)
        bit = drawn.randrange(8 * len(files[path]))
        altered = bytearray(files[path])
        altered[bit // 8] ^= 1 << (bit % 8)
        verdict = verdict_of(builder, {**files, path: bytes(altered)})
        assert verdict.journal.failed, f"seed {seed}: bit {bit} of {path} went unnoticed"


def signed_by(builder: type[B], name: str, signer: Callable[[Any], Any]) -> type[B]:
    """The builder whose document `name` is signed with the key that `signer` picks."""

    class Impostor(builder):  # type: ignore[valid-type,misc]
        def _sign(self, name_: str, document: Any, *keys: Any) -> Any:
            return super()._sign(
                name_, document, *((signer(self.keys),) if name_ == name else keys)
            )

    return Impostor


def require_list_counts(builder: Any, name: str, other: Callable[[Any], Any]) -> None:
    """The accept list `name` explains what was left out: as it is, whole, and by its own signer.

    `builder` makes evidence in which the first report was left out, with edits by name.
    """
    files = builder().files()
    del files[f"restricted/{object_path(builder().kinds[name])}"]
    assert verdict_of(builder(), files).journal.failed == ("order.receipts",)
    lies: list[tuple[Callable[[Any], Any], str]] = [
        (change(dropped=()), "order.receipts"),
        (lambda a: dataclasses.replace(a, accepted=a.accepted[1:]), "order.dropped"),
        (change(round=2), "order.dropped"),
    ]
    for edit, check in lies:
        assert verdict_of(builder(**{name: edit})).journal.failed == (check,)
    assert verdict_of(signed_by(builder, name, other)()).journal.failed == ("order.dropped",)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder as a site: its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def downloaded(builder: EvidenceBuilder, folder: Path) -> tuple[Fetched, Verdict]:
    """What a site gives whose index lists next to nothing, and the verdict over it."""
    files = builder.files()
    files["objects/index"] = f"{builder.kinds['statement']}\n".encode()
    with served(write(files, folder / "site")) as url:
        fetched = download(url, folder / "copy")
    return fetched, audit(EvidenceFolder(folder / "copy"), AuditPolicy(builder.pin))
