"""Verbs that talk to the scheduler: they all take `--as FOLDER`."""

from __future__ import annotations

import argparse
from pathlib import Path

from client.errors import InputRefused
from client.identity import DEFAULT
from terminal.arguments import Run, Verbs, leaf
from trust.ids import CampaignId

# Envelopes, parameters and policies are small; a bundle has its own limit in jobs/archive.
MAXIMUM_INPUT_BYTES = 8 * 1024 * 1024


def remote(
    verbs: Verbs, name: str, run: Run, *, summary: str, example: str
) -> argparse.ArgumentParser:
    """A verb with an identity."""
    parser = leaf(verbs, name, run, summary=summary, example=example)
    parser.add_argument(
        "--as",
        dest="identity",
        type=Path,
        default=DEFAULT,
        metavar="FOLDER",
        help=f"who you are: the folder made by `cadastre operator join` (default {DEFAULT})",
    )
    return parser


def is_asked(campaign: CampaignId, asked: str) -> bool:
    """Whether `asked`, an id or a prefix with or without `camp_`, means `campaign`."""
    head = f"{CampaignId.prefix}_"
    return campaign.startswith(asked if asked.startswith(head) else head + asked)


def read_file(path: Path, *, limit: int = MAXIMUM_INPUT_BYTES) -> bytes:
    """A small input file. Raises InputRefused."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputRefused(
            f"could not read {path}: {error.strerror}", remedy="check the path and its permissions"
        ) from error
    if len(data) > limit:
        raise InputRefused(
            f"{path} has {len(data)} bytes, over the limit of {limit}",
            remedy="check that this is the file meant, or make it smaller",
        )
    return data
