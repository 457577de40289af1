"""What a municipality brings: its name, two colours and a logo. Contrast is ours to keep.

From two colours follow every shade that text or a border needs, in the light and in the dark,
moved towards black or white until WCAG 2.1 AA holds (4.5:1 for text, 3:1 for what is no text).
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Sequence
from dataclasses import dataclass

from web.errors import AssetRefused
from web.files import Asset
from web.sentences import say

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
TEXT_CONTRAST, MARK_CONTRAST = 4.5, 3.0
# The surfaces that links stand on, card, page, sunk and washes; assets/css/10-colours.css has them.
LIGHT = ("#ffffff", "#f5f6f8", "#eef0f3", "#fdf0d9", "#fce6e8", "#e3f3e8", "#e4eff9", "#eceef1")
DARK = ("#161b22", "#0e1217", "#1d242d", "#35270e", "#3b191d", "#15301f", "#152a40", "#252d37")
_STEP = 0.02  # of lightness
_LARGEST_LOGO = 20_000  # bytes; the whole first load is 150 kB
Channels = tuple[float, float, float]


@dataclass(frozen=True)
class Brand:
    """Whose pages they are. `logo` is an SVG or PNG file's bytes, drawn 32 pixels high."""

    name: str
    primary: str = "#1f4e79"
    accent: str = "#b3541e"
    logo: bytes = b""

    def assets(self) -> list[Asset]:
        """Its style sheet and logo. Raises AssetRefused."""
        found = [Asset("brand.css", self.style().encode())]
        if self.logo:
            found.append(Asset(self.logo_name, self.logo))
        return found

    @property
    def logo_name(self) -> str:
        """What the logo's file is called; "" without one. Raises AssetRefused."""
        if not self.logo:
            return ""
        if len(self.logo) > _LARGEST_LOGO:
            raise AssetRefused(
                say("the logo has {size} bytes, {most} are allowed", size=len(self.logo),
                    most=_LARGEST_LOGO)
            )  # fmt: skip
        if self.logo.startswith(b"\x89PNG\r\n\x1a\n"):
            return "logo.png"
        if b"<svg" in self.logo[:1000]:
            return "logo.svg"
        raise AssetRefused(say("the logo is neither SVG nor PNG"))

    def style(self) -> str:
        """Variables for both schemes. Raises AssetRefused for what is no colour."""
        for colour in (self.primary, self.accent):
            if not _COLOUR.fullmatch(colour):
                raise AssetRefused(say("“{colour}” is no colour like #1f4e79", colour=colour))
        bright, dim = self._variables(LIGHT), self._variables(DARK)
        return (
            f":root{{{bright}}}\n"
            f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dim}}}}}\n"
            f":root[data-theme=dark]{{{dim}}}\n"
        )

    def _variables(self, surfaces: Sequence[str]) -> str:
        primary = readable(self.primary, surfaces, TEXT_CONTRAST)
        accent = readable(self.accent, surfaces, TEXT_CONTRAST)
        return (
            f"--brand:{primary};--on-brand:{over(primary)};"
            f"--accent:{accent};--on-accent:{over(accent)};"
            f"--brand-mark:{readable(self.primary, surfaces, MARK_CONTRAST)}"
        )


def contrast(one: str, other: str) -> float:
    """WCAG's ratio of two colours, 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def readable(colour: str, surfaces: Sequence[str], least: float) -> str:
    """`colour`, made lighter or darker until it stands out from every surface by `least`."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*_channels(colour))
    step = _STEP if _luminance(surfaces[0]) < 0.2 else -_STEP
    while min(contrast(colour, one) for one in surfaces) < least and 0.0 <= lightness <= 1.0:
        lightness += step
        colour = _spelled(colorsys.hls_to_rgb(hue, min(max(lightness, 0.0), 1.0), saturation))
    return colour


def over(colour: str) -> str:
    """Black or white, whichever is easier to read on `colour`."""
    return max(("#ffffff", "#0d1117"), key=lambda ink: contrast(ink, colour))


def _channels(colour: str) -> Channels:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


def _spelled(channels: Channels) -> str:
    return "#" + "".join(f"{round(channel * 255):02x}" for channel in channels)


def _luminance(colour: str) -> float:
    red, green, blue = (
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
        for channel in _channels(colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
