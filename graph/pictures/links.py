"""The map of links worth strengthening or creating: an arrow per link, wider for more CO2e."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from graph.errors import PictureRefused
from graph.model import TerritoryGraph
from graph.pictures import plane, schematic, svg
from graph.pictures.words import WORDINGS
from graph.potential import Kind, Potential
from graph.reasons import Speaker

_WIDEST = 14.0
_RADIUS = schematic.RADIUS + 1.5
_LINE = 18.0  # between two lines of the legend
_DASH = "7 5"
_TITLE = {"fr": "Liens à renforcer ou à créer", "en": "Links to strengthen or create"}
_ABOUT = {
    "fr": "Carte schématique : une flèche par lien, d'autant plus large que le lien éviterait "
    "plus de CO2e par an ; en tirets, un lien qui n'est pas publié aujourd'hui.",
    "en": "Schematic map: one arrow per link, wider for more CO2e avoided per year; dashed, a "
    "link that is not released today.",
}


def draw(
    graph: TerritoryGraph, links: Sequence[Potential], speaker: Speaker, language: str
) -> bytes:
    """The map as SVG. Raises PictureRefused when there is no link."""
    if not links:
        raise PictureRefused(
            "there is no link to draw",
            remedy="leave --draw out: no link of this graph is plausible and avoids CO2e",
        )
    ends = {end for link in links for end in (link.home, link.work)}
    spots = schematic.positions([place for place in graph.places if place.id in ends])
    most = links[0].avoided.value
    modes = sorted({link.mode for link in links})
    shade = {mode: svg.SHADES[index % len(svg.SHADES)] for index, mode in enumerate(modes)}
    among: Counter[tuple[str, str]] = Counter()
    content = []
    for number, link in enumerate(links, start=1):
        pair = (link.home, link.work)
        among[pair] += 1
        drawn = schematic.arrow(
            (spots[link.home], spots[link.work]),
            f"{number}. {speaker.title(link)}, {speaker.tonnes(link.avoided)} tCO2e",
            width=_WIDEST * link.avoided.value / most,
            radius=_RADIUS,
            shade=shade[link.mode],
            bend=plane.BEND * among[pair],  # two ways on one pair lie apart
        )
        dashed = {"stroke_dasharray": _DASH} if link.kind is Kind.CREATE else {}
        content.append(svg.element("g", [drawn], **dashed))
    content += schematic.marks(
        spots,
        dict.fromkeys(spots, _RADIUS),
        {key: spot.place.name for key, spot in spots.items()},
    )
    for index, mode in enumerate(modes):
        y = schematic.HEIGHT - 40 - _LINE * (len(modes) - 1 - index)
        content.append(svg.element("rect", x=24, y=y - 9, width=22, height=9, fill=shade[mode]))
        content.append(svg.text(speaker.name(mode), x=52, y=y))
    source = next(source for source in graph.sources if source.id in links[0].sources)
    title = f"{_TITLE[language]} - {graph.name_fr if language == 'fr' else graph.name_en}"
    words = WORDINGS[language]
    caption = f"{words.dated} {graph.dated.date().isoformat()}"
    content += [
        svg.text(title, x=24, y=30, font_size=18, font_weight="bold"),
        svg.text(caption, x=24, y=52),
        svg.text(
            f"{words.source} : {source.attribution}", x=24, y=schematic.HEIGHT - 16, font_size=11
        ),
    ]
    return svg.picture(
        width=schematic.WIDTH,
        height=schematic.HEIGHT,
        language=language,
        title=title,
        about=f"{_ABOUT[language]} {caption}",
        content=content,
    )
