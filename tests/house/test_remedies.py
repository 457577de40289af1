"""Every refusal says what to do: the place that raises it gives a remedy, or its class an advice.

Read from the sources, not from runs: a refusal that no test provokes must help as well. Every
construction counts, not only those behind `raise`: functions make refusals for others to raise.
"""

from __future__ import annotations

import argparse
import ast
import functools
import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import cadastre
from tests.house.test_error_codes import (
    CARRIERS,
    HOUSE,
    import_everything,
    meaning,
    name_of,
    refusals,
    rooms,
)
from trust.problem import Problem
from wire.errors import Unreachable

LONGEST = 120  # letters: it is read at the end of a line, and in a cell of docs/errors.md
COMMAND = re.compile(r"`cadastre ([a-z-]+)(?: ([a-z-]+))?[^`]*`")
# Refusals whose own __init__ says what helps, or hands on what another program said.
WRITES_ITS_OWN = {"governance.witness.errors.SizeConflict", *CARRIERS}
# What looks like help and is none: it names nobody's next step.
EMPTY_WORDS = ("contact support", "please", "something went wrong", "invalid", "try to")


def product() -> list[Path]:
    """Every source file of the product."""
    return [path for room in rooms() for path in sorted((HOUSE / room).rglob("*.py"))]


def names_in(tree: ast.Module, module: ModuleType | None) -> dict[str, object]:
    """What the names of a module stand for, also those imported inside its functions."""
    names: dict[str, object] = {} if module is None else dict(vars(module))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.split(".")[0] in rooms()
        ):
            source = importlib.import_module(node.module)
            for alias in node.names:
                names.setdefault(alias.asname or alias.name, getattr(source, alias.name, None))
    return names


def meant(function: ast.expr, names: dict[str, object]) -> object:
    """What `X` or `a.b.X` stands for, None when it is no such thing."""
    match function:
        case ast.Name(name):
            return names.get(name)
        case ast.Attribute(value, name):
            return getattr(meant(value, names), name, None)
        case _:
            return None


@functools.cache  # several tests walk through the whole product
def constructions(
    text: str, module: ModuleType | None
) -> tuple[tuple[ast.Call, type[Problem]], ...]:
    """Every call in `text` that makes a refusal, with the refusal's class."""
    tree = ast.parse(text)
    names = names_in(tree, module)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            refusal = meant(node.func, names)
            if isinstance(refusal, type) and issubclass(refusal, Problem):
                found.append((node, refusal))
    return tuple(found)


def advised(refusal: type[Problem]) -> bool:
    """Whether `refusal` has an advice of its own or of a class of its room that is no root."""
    for parent in refusal.__mro__:
        if vars(parent).get("advice"):
            room = parent.__module__.split(".")[0]
            return room == refusal.__module__.split(".")[0] and not is_root(parent)
    return False


def is_root(refusal: type) -> bool:
    return meaning(refusal).startswith("Root of ")


def helpless(text: str, module: ModuleType | None, where: str) -> list[str]:
    """The constructions in `text` that leave a person without help, one line each."""
    said = []
    for call, refusal in constructions(text, module):
        given = [keyword.value for keyword in call.keywords if keyword.arg == "remedy"]
        empty = [value for value in given if isinstance(value, ast.Constant) and not value.value]
        if empty or not (given or name_of(refusal) in WRITES_ITS_OWN or advised(refusal)):
            said.append(f"{where}:{call.lineno}: {refusal.__name__} without remedy or advice")
    return said


def module_of(path: Path) -> ModuleType | None:
    """The imported module, None for a program or a built-in bundle, which nobody imports."""
    name = ".".join(path.relative_to(HOUSE).with_suffix("").parts).removesuffix(".__init__")
    return sys.modules.get(name)


def commands() -> dict[str, set[str]]:
    """Every noun of the command line with its verbs."""
    found: dict[str, set[str]] = {}
    for noun in cadastre.NOUNS:
        parser = argparse.ArgumentParser()
        cadastre._fill(noun, parser)
        found[noun.name] = {
            verb
            for action in parser._actions
            if isinstance(action, argparse._SubParsersAction)
            for verb in action.choices
        }
    return found


def unknown_commands(text: str, known: dict[str, set[str]]) -> list[str]:
    """The commands that `text` names and nobody can type."""
    return [
        f"{noun} {verb}".strip()
        for noun, verb in COMMAND.findall(text)
        if noun not in known or (verb and known[noun] and verb not in known[noun])
    ]


def shape(advice: str) -> list[str]:
    """What is wrong with the form of an advice."""
    said = []
    if not 15 <= len(advice) <= LONGEST:
        said.append(f"{len(advice)} letters")
    if not re.match(r"[a-z`]", advice) or advice.endswith((".", " ")) or advice != advice.strip():
        said.append("it goes on after `remedy: `, without a capital or a full stop")
    if not advice.isprintable() or ". " in advice or advice.count("`") % 2 or "|" in advice:
        said.append("it is not one plain sentence")
    said += [words for words in EMPTY_WORDS if re.search(rf"\b{words}\b", advice.lower())]
    return said


def test_whoever_is_refused_is_told_what_to_do() -> None:
    import_everything()
    said, seen = [], 0
    for path in product():
        text, module = path.read_text(encoding="utf-8"), module_of(path)
        seen += len(constructions(text, module))
        said += helpless(text, module, str(path.relative_to(HOUSE)))
    assert seen > 800  # the walk resolved the names
    assert said == []


def test_no_construction_escapes_the_walk() -> None:
    """A name of a refusal that is called and not resolved would be a hole in the test above."""
    known = {refusal.__name__ for refusal in refusals()}
    holes = []
    for path in product():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = names_in(tree, module_of(path))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).rsplit(".", 1)[-1]
                if name in known and meant(node.func, names) is None:
                    holes.append(f"{path.relative_to(HOUSE)}:{node.lineno}: {name}")
    assert holes == []


def test_every_advice_is_one_short_sentence() -> None:
    told = [each for each in refusals() if "advice" in vars(each)]
    assert len(told) > 40
    wrong = {name_of(each): shape(each.advice) for each in told if shape(each.advice)}
    assert wrong == {}


def test_a_root_gives_no_advice() -> None:
    """It would reach every refusal of its family, and be right about none."""
    assert [name_of(each) for each in refusals() if is_root(each) and each.advice] == []


def test_no_advice_is_given_twice() -> None:
    """What helps is particular: two classes with one text would mean that one has none."""
    texts = [vars(each)["advice"] for each in refusals() if "advice" in vars(each)]
    assert sorted(texts) == sorted(set(texts))


def test_every_command_that_help_names_exists() -> None:
    known = commands()
    assert known["capsule"] >= {"seal", "grant"}
    said = []
    for each in refusals():
        said += [f"{name_of(each)}: {wrong}" for wrong in unknown_commands(each.advice, known)]
    for path in product():
        text = path.read_text(encoding="utf-8")
        for call, refusal in constructions(text, module_of(path)):
            for word in ast.walk(call):
                if isinstance(word, ast.Constant) and isinstance(word.value, str):
                    where = f"{path.relative_to(HOUSE)}:{call.lineno}: {refusal.__name__}"
                    said += [f"{where}: {w}" for w in unknown_commands(word.value, known)]
    assert said == []


def test_the_remedy_of_the_place_goes_before_the_advice_of_the_class() -> None:
    assert Unreachable("nobody answers").remedy == Unreachable.advice
    assert Unreachable("nobody answers", remedy="plug it in").remedy == "plug it in"
    assert str(Unreachable("nobody answers")).endswith(f"\n  remedy: {Unreachable.advice}")


@pytest.mark.parametrize(
    "line",
    [
        "raise NotPermitted('no')",
        "raise NotPermitted('no', remedy='')",
        "raise NotPermitted('no', ids='x') from None",
        "lambda: NotPermitted('no')",
        "raise Unreachable('no', remedy='')",
    ],
)
def test_a_silent_refusal_is_found(line: str) -> None:
    text = f"def f():\n    from wire.errors import NotPermitted, Unreachable\n    {line}\n"
    assert len(helpless(text, None, "planted.py")) == 1


@pytest.mark.parametrize(
    "line", ["raise NotPermitted('no', remedy='ask')", "raise Unreachable('no')"]
)
def test_a_refusal_that_helps_is_let_through(line: str) -> None:
    text = f"from wire.errors import NotPermitted, Unreachable\n{line}\n"
    assert helpless(text, None, "planted.py") == []


@pytest.mark.parametrize(
    "advice",
    [
        "",
        "Check the network and ask again",
        "check the network and ask again.",
        "check the network. Then ask again",
        "contact support and wait for an answer",
        "check " + "the network " * 20,
    ],
)
def test_an_ill_shaped_advice_is_found(advice: str) -> None:
    assert shape(advice)


def test_a_command_that_nobody_can_type_is_found() -> None:
    known = {"capsule": {"seal"}, "doctor": set()}
    text = (
        "run `cadastre capsule seal X`, `cadastre doctor`, `cadastre capsule mend`, `cadastre go`"
    )
    assert unknown_commands(text, known) == ["capsule mend", "go"]
