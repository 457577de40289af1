"""What an author's code prints, and where it broke: a sandbox lets 4 KiB of words out, no more."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator

_SHOWN_LETTERS = 1500
_MESSAGE_LETTERS = 300


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Keep what is printed until all went well, then its end: a refusal must come first."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        yield
    sys.stderr.write(said.getvalue()[-_SHOWN_LETTERS:])


def where(error: BaseException) -> str:
    """What was raised, and on which line of the bundle."""
    line, trace = "", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name.startswith("bundle/"):
            line = f" ({name.removeprefix('bundle/')}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {str(error)[:_MESSAGE_LETTERS]}{line}"
