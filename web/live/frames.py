"""What travels on a live stream (text/event-stream): frames, beats and a greeting.

A frame's id is the server's time in milliseconds: an open page measures ages by it, never by its
own machine's clock, and knows since when it is frozen when nothing comes any more.
"""

from __future__ import annotations

from datetime import datetime

from web.languages import Language

MEDIA_TYPE = "text/event-stream"
RETRY = 1000  # milliseconds until a page whose stream ended asks again, doubled each time


def frame(html: str, now: datetime) -> bytes:
    """A whole fragment as an unnamed message, which htmx swaps in."""
    lines = "".join(f"data: {line}\n" for line in html.strip().splitlines() or [""])
    return f"id: {milliseconds(now)}\n{lines}\n".encode()


def beat(now: datetime) -> bytes:
    """Nothing changed, and the server is still there; a comment would not reach the page."""
    return f"id: {milliseconds(now)}\nevent: beat\ndata: {milliseconds(now)}\n\n".encode()


def hello(version: str, language: Language) -> bytes:
    """The first message: pages made of other files than `version`'s offer to reload."""
    return f"retry: {RETRY}\nevent: hello\ndata: {version} {language}\n\n".encode()


def milliseconds(moment: datetime) -> int:
    """Since 1970."""
    return round(moment.timestamp() * 1000)
