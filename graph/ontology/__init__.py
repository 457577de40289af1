"""The ontology as data: `cadastre.ttl` (vocabulary, mappings), `shapes.ttl` (SHACL), code lists."""

from __future__ import annotations

from functools import cache
from importlib import resources

from trust.ids import Digest

NAMESPACE = "https://cadastre.example/ontology#"
VOCABULARY = "cadastre.ttl"
SHAPES = "shapes.ttl"
NAF = "naf.txt"
EWC = "ewc.txt"


def read(name: str) -> bytes:
    """The bytes of one file of the ontology."""
    return resources.files(__name__).joinpath(name).read_bytes()


@cache
def digest() -> Digest:
    """What a graph names as the ontology that it was validated against: all files together."""
    return Digest.of(b"\x00".join(map(read, (VOCABULARY, SHAPES, NAF, EWC))))
