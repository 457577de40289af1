"""The command line's grammar: `cadastre <noun> <verb>`, every verb with an example and --json."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - its only name
else:
    Verbs = argparse._SubParsersAction  # noqa: SLF001 - not subscriptable when it runs
Run = Callable[[argparse.Namespace], int]


def leaf(
    verbs: Verbs, name: str, run: Run, *, summary: str, example: str
) -> argparse.ArgumentParser:
    """A verb: its parser shows `example` in --help and knows --json."""
    parser = verbs.add_parser(
        name,
        help=summary,
        description=summary[:1].upper() + summary[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return runs(parser, run)


def runs(parser: argparse.ArgumentParser, run: Run) -> argparse.ArgumentParser:
    """Let `parser` run a command; what every command has is added here."""
    parser.add_argument(
        "--json", action="store_true", help="write one JSON document to standard output"
    )
    parser.set_defaults(run=run)
    return parser


def verbs_of(parser: argparse.ArgumentParser) -> Verbs:
    """The place to add a noun's verbs to."""
    return parser.add_subparsers(metavar="VERB", required=True)
