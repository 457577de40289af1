"""Reading bundle.toml: the only way to a `Manifest`.

Every mistake is reported at once, each as one line that says where it is, what was expected and
an example to copy; a key that is not known is refused with the nearest one that is.
"""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal

from pydantic import ValidationError

from jobs import mistakes
from jobs.admission import mistakes_of
from jobs.errors import ManifestRefused
from jobs.schema import Manifest

__all__ = ["Manifest", "read"]

MAXIMUM_MANIFEST_BYTES = 256 * 1024  # ours: 100 pages of text
MAXIMUM_KEY_PARTS = 16  # ours: the deepest key that means anything has four
# The standard reader's time grows with the third power of a key's parts. A part is a bare word or
# a quoted text; possessive and bounded, so that looking costs a few passes over the text at most.
_LONG_KEY = re.compile(
    rb"""(?<![A-Za-z0-9_-])
    (?:(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.){0,128}+"|'[^'\n]{0,128}+')[ \t]*+\.[ \t]*+){%d}"""
    % MAXIMUM_KEY_PARTS,
    re.VERBOSE,
)


def read(raw: bytes) -> Manifest:
    """The manifest in bundle.toml's bytes, admitted. Raises ManifestRefused with every mistake."""
    if len(raw) > MAXIMUM_MANIFEST_BYTES:
        raise ManifestRefused(
            f"bundle.toml has {len(raw)} bytes, over the limit of {MAXIMUM_MANIFEST_BYTES}",
            remedy="shorten its labels",
        )
    if _LONG_KEY.search(raw):
        raise ManifestRefused(
            f"bundle.toml has a key of more than {MAXIMUM_KEY_PARTS} parts joined by dots",
            remedy="no key of a manifest has more than four; in a text, write fewer such words",
        )
    try:
        plain = tomllib.loads(raw.decode(), parse_float=Decimal)
    except (ValueError, RecursionError, ArithmeticError) as error:
        raise ManifestRefused(
            f"bundle.toml is not TOML in UTF-8: {error}",
            remedy="start from the one that `cadastre bundle init` writes",
        ) from error
    try:
        manifest = Manifest.model_validate(plain)
    except ValidationError as error:
        found = mistakes.sentences(Manifest, error)
    else:
        found = mistakes_of(manifest)
        if not found:
            return manifest
    raise ManifestRefused(
        "bundle.toml has mistakes:\n" + "\n".join(f"  - {line}" for line in found),
        remedy="correct these lines; docs/authors.md explains every key",
    )
