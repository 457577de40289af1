"""Objects by digest: every file holds what its name says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from audit.checks.layout import INDEX, Layout
from audit.errors import AuditFailure
from audit.evidence import Evidence
from trust.ids import Digest

# Envelopes and small blobs are read by several checks; larger ones are read again from disk.
_KEPT_BYTES = 64 * 1024
_KEPT_TOTAL = 256 << 20


class Objects:
    """The evidence's objects; whatever `get` returns has just been, or was, compared."""

    def __init__(
        self, evidence: Evidence, paths: Mapping[Digest, str], extra: Iterable[bytes] = ()
    ) -> None:
        self._evidence = evidence
        self._paths = paths
        self._kept: dict[Digest, bytes] = {Digest.of(raw): raw for raw in extra}
        self._room = _KEPT_TOTAL

    def __contains__(self, digest: Digest) -> bool:
        return digest in self._paths or digest in self._kept

    def __iter__(self) -> Iterator[Digest]:
        return iter(self._paths)

    def get(self, digest: Digest, what: str) -> bytes:
        """The object. Raises AuditFailure when it is absent or its bytes are other ones."""
        kept = self._kept.get(digest)
        if kept is not None:
            return kept
        path = self._paths.get(digest)
        if path is None:
            raise AuditFailure(f"{what} {digest} is missing")
        data = self._evidence.read(path)
        if Digest.of(data) != digest:
            raise AuditFailure(f"{path} holds other bytes than its name says")
        if len(data) <= min(_KEPT_BYTES, self._room):
            self._kept[digest] = data
            self._room -= len(data)
        return data


def digests(evidence: Evidence, layout: Layout, roots: Iterable[bytes]) -> tuple[Objects, str]:
    """Every object hashed, whether anything refers to it or not."""
    objects = Objects(evidence, layout.objects, roots)
    for digest in layout.objects:
        objects.get(digest, "object")
    if layout.index:
        public = (d for d, path in layout.objects.items() if path.startswith("objects/"))
        listed = "".join(f"{digest}\n" for digest in sorted(public)).encode()
        if evidence.read(INDEX) != listed:
            raise AuditFailure(f"{INDEX} does not list exactly the objects that are here")
    return objects, f"{len(layout.objects)} objects have the digests that name them"
