"""The API token: from a file or the environment, and never to be seen again.

It is no argument: what is typed into a notebook is saved with it, and often published.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jobs.client.errors import ApiTokenUnusable

FILE = "CADASTRE_API_TOKEN_FILE"
VARIABLE = "CADASTRE_API_TOKEN"
_FORM = re.compile(r"cadastre-api-v1\.[A-Za-z0-9_=-]{20,200}")
_LONGEST = 4096


@dataclass(frozen=True)
class ApiToken:
    """A token; only `header` reveals it, to whoever sends it."""

    secret: str = field(repr=False)
    source: str

    @property
    def header(self) -> str:
        """The value of `Authorization`."""
        return f"Bearer {self.secret}"


def find(path: Path | str | None, environment: Mapping[str, str] = os.environ) -> ApiToken:
    """The token in the file `path`, else in the file or the variable of the environment.

    Raises ApiTokenUnusable.
    """
    named = str(path) if path is not None else environment.get(FILE, "")
    if named:
        return _read(Path(named).expanduser())
    if text := environment.get(VARIABLE, ""):
        return _token(text, VARIABLE)
    raise ApiTokenUnusable(f"neither {FILE} nor {VARIABLE} names an API token")


def _read(path: Path) -> ApiToken:
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            raw = stream.read(_LONGEST)
    except OSError as error:
        raise ApiTokenUnusable(f"{path} cannot be read: {error.strerror}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise ApiTokenUnusable(
            f"others on this machine can read {path}", remedy=f"chmod 600 {path}"
        )
    return _token(raw.decode("ascii", "replace"), str(path))


def _token(text: str, source: str) -> ApiToken:
    secret = text.strip()
    if not _FORM.fullmatch(secret):
        # Of the text itself nothing is said: it may be another secret.
        raise ApiTokenUnusable(f"{source} holds no API token: one begins with cadastre-api-v1.")
    return ApiToken(secret, source)
