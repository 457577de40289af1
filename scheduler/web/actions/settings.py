"""The fields of a campaign's parameters: one for each, within what was voted; and back from them.

Whoever would rather write JSON does: an object that is not empty is taken in place of the fields.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from jobs import parameters
from trust.documents.rules import Bound
from trust.parameters import MAXIMUM_SETTINGS_BYTES
from web.forms import Form
from web.sentences import Sentence, plural, say
from web.speech import Speech

PREFIX = "set-"
WRITTEN = "parameters"  # the field for an object that somebody wrote themselves
_LONGEST = 1_000  # letters of one value


@dataclass(frozen=True)
class Setting:
    """A parameter as its field shows it. `value` is what the author proposes."""

    name: str
    kind: str  # "integer" | "decimal" | "choice" | "text"
    value: str
    hint: Sentence
    least: str = ""
    most: str = ""
    choices: tuple[str, ...] = ()

    @property
    def field(self) -> str:
        """What the field is called in the form."""
        return PREFIX + self.name


def settings(bounds: Mapping[str, Bound], defaults: Mapping[str, str]) -> list[Setting]:
    """A field for every parameter, in the order of their names.

    Where the author proposes nothing it holds the least value, or the first choice.
    """
    return [_setting(name, bound, defaults) for name, bound in sorted(bounds.items())]


def written(sent: Form, bounds: Mapping[str, Bound], speech: Speech) -> bytes:
    """The parameters of a form as a JSON object; decimals were typed in the language of `speech`.

    Raises BadParameter, ParametersRefused.
    """
    own = sent.text(WRITTEN, most=MAXIMUM_SETTINGS_BYTES)
    if own:
        return own.encode()
    texts = {
        name: _typed(sent.text(PREFIX + name, most=_LONGEST), bound, speech)
        for name, bound in bounds.items()
        if PREFIX + name in sent.fields
    }
    return json.dumps(parameters.from_texts(texts, bounds)).encode()


def template(found: list[Setting]) -> str:
    """The same proposal as the JSON object that somebody would write."""
    lines = [
        f'  "{one.name}": {one.value if one.kind == "integer" else json.dumps(one.value)}'
        for one in found
    ]
    return "{\n" + ",\n".join(lines) + "\n}" if lines else "{}"


def _setting(name: str, bound: Bound, defaults: Mapping[str, str]) -> Setting:
    least, most = bound.minimum or "", bound.maximum or ""
    first = bound.choices[0] if bound.choices else least
    return Setting(
        name=name,
        kind=bound.type,
        value=defaults.get(name, first) or ("0" if bound.type == "integer" else ""),
        hint=_hint(bound),
        least=least,
        most=most,
        choices=bound.choices,
    )


def _hint(bound: Bound) -> Sentence:
    least, most = Decimal(bound.minimum or 0), Decimal(bound.maximum or 0)
    match bound.type:
        case "integer":
            return say("a whole number from {least} to {most}", least=least, most=most)
        case "decimal":
            return say("a number from {least} to {most}", least=least, most=most)
        case "choice":
            return plural("the one value", "one of {number} values", len(bound.choices))
        case _:
            return say("a text of {most} letters at most", most=most)


def _typed(text: str, bound: Bound, speech: Speech) -> str:
    return speech.read(text) if bound.type == "decimal" else text
