"""The ontology as data: `cadastre.ttl` (vocabulary and mappings) and `shapes.ttl` (SHACL)."""

from __future__ import annotations

from importlib import resources

from trust.ids import Digest

NAMESPACE = "https://cadastre.example/ontology#"
VOCABULARY = "cadastre.ttl"
SHAPES = "shapes.ttl"


def read(name: str) -> bytes:
    """The bytes of one file of the ontology."""
    return resources.files(__name__).joinpath(name).read_bytes()


def digest() -> Digest:
    """What a graph names as the ontology that it was validated against: both files together."""
    return Digest.of(read(VOCABULARY) + b"\x00" + read(SHAPES))
