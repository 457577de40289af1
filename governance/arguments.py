"""What the command lines of several programs ask for, and say, in the same words."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from terminal.exits import OK
from terminal.output import Output

if TYPE_CHECKING:
    from governance.program import Program


def add_state(parser: argparse.ArgumentParser) -> None:
    """The program's folder."""
    parser.add_argument("--state", type=Path, required=True, metavar="FOLDER")


def add_listen(parser: argparse.ArgumentParser) -> None:
    """Where a server answers; `governance.serving.parse_address` reads it."""
    parser.add_argument("--listen", required=True, metavar="HOST:PORT")


def add_root(parser: argparse.ArgumentParser) -> None:
    """The territory root's file."""
    parser.add_argument("--root", type=Path, required=True, help="the signed territory root")


def add_site(parser: argparse.ArgumentParser) -> None:
    """The scheduler's public site, from which everything is read that it claims."""
    parser.add_argument(
        "--site", required=True, metavar="URL", help="where the scheduler serves log and objects"
    )


def make_key(arguments: argparse.Namespace, program: Program) -> int:
    """Make `program`'s key in the folder given, and say what its public half is for."""
    public = program.create(arguments.state)
    output = Output(as_json=arguments.json)
    output.record({"key": str(public), "file": str(arguments.state / f"{program.key_file}.pub")})
    output.line(f"next: `cadastre root draft … --{program.name}-key` with that file")
    return OK
