"""MODEL_CARD.md: what a released model is, in French and English, for whoever did not train it.

It says what signed documents say. What the model must not be used for is its author's to say, in
a section `Limits` (`Limites` in French) of the bundle's README, which the cooperative read before
it voted; where there is none, the card says that there is none.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from typing import Any

from jobs.lineage import Model
from jobs.model import WEIGHTS, privacy

README = "README.md"
SHOWN_ROUNDS = 12  # the first and the last ones; provenance.json has all
SHOWN_CELLS = 40
_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*")
_MARKUP = re.compile(r"([\\`*_\[\]<>|#])")


@dataclass(frozen=True)
class _Words:
    """One language of the card."""

    title: str
    what: str
    arrays: str
    data: str
    measured: str
    limits: str
    limit_headings: tuple[str, ...]
    no_limits: str
    general: str
    sources: str
    source_names: tuple[str, str, str, str, str]
    columns: tuple[str, str, str]
    classes: dict[str, str]
    units: dict[str, str]
    omitted: str


_FRENCH = _Words(
    title="Fiche du modèle : {title}",
    what=(
        "Modèle entraîné par l'algorithme {name} {version} sur {rounds} tours (votés : {voted}), "
        "publié le {day} par le territoire {territory}. Finalité votée par la coopérative : "
        "{purpose}."
    ),
    arrays=(
        "`{file}` contient l'état que la campagne a laissé : {arrays} (float64). C'est le code de "
        "l'algorithme, avec les paramètres {settings}, qui dit comment en refaire un modèle : un "
        "algorithme peut y ajouter un départ tiré d'une graine."
    ),
    data=(
        "Données admises : {classes}. Unité protégée : {unit}. Coût en confidentialité par unité : "
        "rho = {rho} (zCDP), soit epsilon = {epsilon} à delta = {delta}. Contributions, tous tours "
        "confondus : environ {contributions} (arrondi vers le bas à la dizaine)."
    ),
    measured="Mesures",
    limits="Limites",
    limit_headings=("limites", "limits"),
    no_limits="Le README de l'algorithme ne donne pas de limites d'emploi.",
    general=(
        "Le vote porte sur la finalité ci-dessus et sur aucune autre. Les mesures sont celles que "
        "l'algorithme a publiées ; personne d'autre ne les a refaites ici."
    ),
    sources="Sources",
    source_names=("algorithme", "auteurs", "autorisation", "campagne", "publication"),
    columns=("tour", "machines", "contributions"),
    classes={"personal": "personnelles", "company": "d'entreprises", "public": "publiques"},
    units={"owner": "le propriétaire d'une capsule", "person": "une personne d'une capsule"},
    omitted="… {count} de plus : voir `{file}`.",
)
_ENGLISH = _Words(
    title="Model card: {title}",
    what=(
        "A model trained by the algorithm {name} {version} over {rounds} rounds (voted: {voted}), "
        "released on {day} by the territory {territory}. The purpose that the cooperative voted: "
        "{purpose}."
    ),
    arrays=(
        "`{file}` holds the state that the campaign ended with: {arrays} (float64). The "
        "algorithm's code, with the parameters {settings}, says how it becomes a model again: an "
        "algorithm may add a start drawn from a seed."
    ),
    data=(
        "Data that it may learn from: {classes}. Privacy unit: {unit}. Privacy cost per unit: "
        "rho = {rho} (zCDP), which is epsilon = {epsilon} at delta = {delta}. Contributions, all "
        "rounds together: about {contributions} (rounded down to tens)."
    ),
    measured="Measures",
    limits="Limits",
    limit_headings=("limits", "limites"),
    no_limits="The algorithm's README names no limits of use.",
    general=(
        "The vote is about the purpose above and no other. The measures are those that the "
        "algorithm released; nobody else measured them here."
    ),
    sources="Sources",
    source_names=("bundle", "authors", "authorisation", "campaign", "release"),
    columns=("round", "machines", "contributions"),
    classes={"personal": "personal", "company": "of companies", "public": "public"},
    units={"owner": "the owner of a capsule", "person": "one person inside a capsule"},
    omitted="… {count} more: see `{file}`.",
)


def render(model: Model) -> bytes:
    """The card's Markdown: French, then English."""
    about = model.bundle.manifest.bundle
    parts = [_card(model, _FRENCH, about.title.fr), _card(model, _ENGLISH, about.title.en)]
    return ("\n\n---\n\n".join(parts) + "\n").encode()


def limits_of(readme: str, headings: tuple[str, ...]) -> str:
    """The text under the first heading named one of `headings`, in their order; "" without."""
    lines = readme.splitlines()
    found = [(i, m) for i, line in enumerate(lines) if (m := _HEADING.fullmatch(line))]
    for wanted in headings:
        for place, (start, match) in enumerate(found):
            if match[2].casefold() != wanted:
                continue
            later = (i for i, m in found[place + 1 :] if len(m[1]) <= len(match[1]))
            return "\n".join(lines[start + 1 : next(later, len(lines))]).strip()
    return ""


def _card(model: Model, words: _Words, title: str) -> str:
    manifest, release, cost = model.bundle.manifest, model.release.document, privacy(model)
    about = manifest.bundle
    arrays = ", ".join(
        f"`{name}` ({' x '.join(str(n) for n in array.shape)})"
        for name, array in model.state.items()
    )
    readme = model.bundle.files.get(README, b"").decode("utf-8", "replace")
    limits = limits_of(readme, words.limit_headings)
    return "\n\n".join(
        [
            "# " + words.title.format(title=_plain(title)),
            words.what.format(
                name=about.name,
                version=about.version,
                rounds=len(model.rounds),
                voted=manifest.rounds.maximum,
                day=f"{release.released_at:%Y-%m-%d}",
                territory=_plain(release.territory),
                purpose=_plain(model.vote.document.purpose),
            ),
            words.arrays.format(
                file=WEIGHTS, arrays=arrays, settings=_plain(model.settings.decode())
            ),
            words.data.format(
                classes=", ".join(words.classes[name] for name in cost["classes"]),
                unit=words.units[cost["unit"]],
                rho=cost["rho"],
                epsilon=cost["epsilon"],
                delta=f"{cost['delta']:g}",
                contributions=release.contributors_rounded,
            ),
            f"## {words.measured}",
            *_measures(model, words),
            f"## {words.limits}",
            "\n".join(f"> {line}".rstrip() for line in limits.splitlines()) or words.no_limits,
            words.general,
            f"## {words.sources}",
            _sources(model, words),
        ]
    )


def _measures(model: Model, words: _Words) -> list[str]:
    blocks = []
    names = sorted({name for found in model.rounds for name in found.metrics})
    rounds = model.rounds
    half = SHOWN_ROUNDS // 2
    shown = rounds if len(rounds) <= SHOWN_ROUNDS else (*rounds[:half], *rounds[-half:])
    rows = [
        (
            str(found.number),
            str(found.opening.document.partials),
            _about(found.opening.document.contributors_rounded),
            *(f"{found.metrics[name]:.4g}" if name in found.metrics else "-" for name in names),
        )
        for found in shown
    ]
    blocks.append(_table((*words.columns, *names), rows))
    if len(shown) < len(rounds):
        left = len(rounds) - len(shown)
        blocks.append(words.omitted.format(count=left, file="provenance.json"))
    cells = list(_cells(json.loads(model.report)))
    if cells:
        blocks.append("\n".join(f"- {line}" for line in cells[:SHOWN_CELLS]))
    if len(cells) > SHOWN_CELLS:
        blocks.append(words.omitted.format(count=len(cells) - SHOWN_CELLS, file="report.json"))
    return blocks


def _cells(report: dict[str, Any]) -> list[str]:
    """The final report's values, one per line, with their labels and unit."""
    lines = []
    for name, array in report["arrays"].items():
        if array["kind"] != "value":
            continue
        labels = list(itertools.product(*array["labels"]))
        for index, cell in enumerate(array["cells"]):
            label = " / ".join(labels[index]) if index < len(labels) else ""
            said = f"{cell:.4g}" if isinstance(cell, float) else "-" if cell is None else str(cell)
            where = f" ({label})" if label else ""
            lines.append(_plain(f"{name}{where}: {said} {array['unit']}"))
    return lines


def _about(rounded: int) -> str:
    """A count that was rounded down to tens."""
    return f"~{rounded}" if rounded else "<10"


def _sources(model: Model, words: _Words) -> str:
    about = model.bundle.manifest.bundle
    values = (
        f"{about.name} {about.version}, {about.licence}, {model.bundle.digest}",
        ", ".join(about.authors),
        f"{model.vote.document.id}, {model.vote.digest}",
        str(model.release.document.campaign),
        str(model.release.digest),
    )
    named = zip(words.source_names, values, strict=True)
    lines = [f"- {name}: {_plain(value)}" for name, value in named]
    return "\n".join([*lines, "- `provenance.json`, `release.json`, `log/`"])


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _plain(text: str) -> str:
    """`text` as Markdown that shows it letter by letter, on one line."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))
