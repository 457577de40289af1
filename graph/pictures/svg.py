"""SVG elements as escaped text: no scripts, no styles from elsewhere, no random ids.

Numbers are written with two decimals, so that every machine draws the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

Attribute = str | int | float
INK = "#1a1a1a"
PAPER = "#ffffff"
# Lightness differs as much as hue, and every band has a pattern of its own: readable in print.
SHADES = ("#1b3a57", "#c96f1e", "#5f8f3e", "#8c8c8c", "#7a3b69", "#d9b44a", "#2f8f9d")


def number(value: float) -> str:
    """Two decimals at most, one spelling."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def element(name: str, content: Iterable[str] = (), **attributes: Attribute) -> str:
    """One element; `content` is markup that was made here. Underscores become hyphens."""
    said = "".join(
        f" {key.rstrip('_').replace('_', '-')}={quoteattr(_told(value))}"
        for key, value in attributes.items()
    )
    inner = "".join(content)
    return f"<{name}{said}>{inner}</{name}>" if inner else f"<{name}{said}/>"


def text(words: str, **attributes: Attribute) -> str:
    """Escaped words at a place."""
    return element("text", [plain(words)], **attributes)


def titled(name: str, words: str, content: Iterable[str] = (), **attributes: Attribute) -> str:
    """An element that says what it is when a reader or a pointer rests on it."""
    return element(name, [element("title", [plain(words)]), *content], **attributes)


def picture(
    *, width: float, height: float, language: str, title: str, about: str, content: Iterable[str]
) -> bytes:
    """The whole document: an image with a name and a description for screen readers."""
    head = [
        element("title", [plain(title)], id="title"),
        element("desc", [plain(about)], id="about"),
        element("rect", width=width, height=height, fill=PAPER),
    ]
    body = element(
        "svg",
        [*head, *content],
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {number(width)} {number(height)}",
        role="img",
        aria_labelledby="title about",
        lang=language,
        font_family="system-ui, sans-serif",
        font_size=13,
        fill=INK,
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'.encode()


def plain(words: str) -> str:
    """`words` as text of an element: escaped, without what XML cannot hold."""
    # Letters that XML 1.0 forbids (most controls, halves of pairs) have no escape: they go.
    allowed = (
        letter
        for letter in words
        if letter in "\t\n" or (letter >= " " and not "\ud800" <= letter <= "\udfff")
    )
    return escape("".join(letter for letter in allowed if letter not in "\ufffe\uffff"))


def _told(value: Attribute) -> str:
    return value if isinstance(value, str) else number(value)
