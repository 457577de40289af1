"""`cadastre capsule …` and `cadastre consent …`: the owner's and the host's commands."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from terminal.arguments import leaf

if TYPE_CHECKING:
    from capsule_runtime.capsules.consenting import Request
    from terminal.arguments import Verbs

MAPPING_EXAMPLE = """\
a mapping file:
  [capsule]
  data_class = "personal"      # personal | company | public, fixed for ever
  unit = "owner"               # owner | person
  one_per = "casenum"          # one capsule per value of this column; leave out for one in all
  [source]                     # optional, for CSV: delimiter, decimal, encoding, missing_values
  [tables.commute]
  keep = { chose = "1" }       # optional; also file = "…" or sql_table = "…"
  columns.mode = { type = "integer", from = "mode", codes = { walk = 1, bicycle = 2 } }
  columns.km   = { type = "real", from = "dist", source_unit = "mi", unit = "km", missing = "drop" }
  columns.home.type = "integer"
  columns.home.bins = { column = "hmzone", equal_bands = 9, minimum = 1, maximum = 1454 }
"""


def add_capsule(verbs: Verbs) -> None:
    """The verbs of `cadastre capsule`."""
    seal = leaf(
        verbs,
        "seal",
        _seal,
        summary="encrypt your own file into capsules and keep the keys",
        example="cadastre capsule seal trips.csv --mapping trips.toml --out mine "
        f"--worker worker.card\n\n{MAPPING_EXAMPLE}",
    )
    seal.add_argument("source", type=Path, metavar="SOURCE", help="CSV, Parquet, SQLite, or a "
                      "directory of them")  # fmt: skip
    seal.add_argument("--mapping", type=Path, required=True, help="how columns become tables")
    seal.add_argument("--out", type=Path, required=True, help="your new directory")
    seal.add_argument("--worker", type=Path, metavar="CARD", help="the host that you choose")
    seal.add_argument("--owner-key", type=Path, metavar="FILE", help="an existing owner key")
    _grant_days(seal)
    grant = leaf(
        verbs,
        "grant",
        _grant,
        summary="let a worker open your capsules for some days more",
        example="cadastre capsule grant mine --worker worker.card --grant-days 7",
    )
    grant.add_argument("directory", type=Path, metavar="DIR")
    grant.add_argument("--worker", type=Path, metavar="CARD", help="default: the chosen host")
    _grant_days(grant)
    host = leaf(
        verbs,
        "host",
        _host,
        summary="take capsules and grants into a worker's store, all or none",
        example="cadastre capsule host mine --state /var/lib/cadastre",
    )
    host.add_argument("source", type=Path, metavar="DIR|FILE")
    _state(host, required=True)
    listed = leaf(
        verbs,
        "list",
        _list,
        summary="list the capsules that a worker hosts",
        example="cadastre capsule list --state /var/lib/cadastre",
    )
    _state(listed, required=True)
    erase = leaf(
        verbs,
        "erase",
        _erase,
        summary="destroy a capsule's keys, grants and data, here and for good",
        example="cadastre capsule erase cap_… --state /var/lib/cadastre --directory mine",
    )
    erase.add_argument("capsule", nargs="+", metavar="ID")
    _state(erase, required=False)
    erase.add_argument("--directory", type=Path, metavar="DIR", help="the owner's directory")


def add_consent(verbs: Verbs) -> None:
    """The verbs of `cadastre consent` that need no network."""
    grant = leaf(
        verbs,
        "grant",
        _consent_grant,
        summary="say yes, for every capsule of a directory or for one key",
        example="cadastre consent grant mine --bundle sha256:… --table commute",
    )
    revoke = leaf(
        verbs,
        "revoke",
        _consent_revoke,
        summary="withdraw, at once",
        example="cadastre consent revoke mine/keys/cap_….key --bundle sha256:…",
    )
    for verb in (grant, revoke):
        verb.add_argument("keys", type=Path, metavar="DIR|KEY")
        target = verb.add_mutually_exclusive_group(required=True)
        target.add_argument("--bundle", metavar="DIGEST")
        target.add_argument("--purpose", metavar="TEXT")
        verb.add_argument("--table", action="append", default=[], help="default: all tables")
        verb.add_argument("--capsule", action="append", default=[], metavar="ID",
                          help="only these capsules of the directory")  # fmt: skip
        verb.add_argument("--capsules", type=Path, metavar="FILE",
                          help="only the capsules listed there, one id a line")  # fmt: skip
        verb.add_argument("--worker", type=Path, metavar="CARD", help="default: the chosen host")
        verb.add_argument("--serial", type=int, help="default: the last one filed, plus one")
        _state(verb, required=False)
    grant.add_argument("--days", type=int, default=365, help="how long (default and most: 365)")
    listed = leaf(
        verbs,
        "list",
        _consent_list,
        summary="list the last words of a directory's owners",
        example="cadastre consent list mine",
    )
    listed.add_argument("directory", type=Path, metavar="DIR")


def _grant_days(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--grant-days", type=int, default=7, help="1 to 31 (default 7)")


def _state(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument("--state", type=Path, metavar="DIR", required=required,
                        help="the worker's state directory")  # fmt: skip


def _seal(args: argparse.Namespace) -> int:
    from capsule_runtime.capsules import commands

    return commands.seal(
        args.source,
        args.mapping,
        args.out,
        card=args.worker,
        owner_key=args.owner_key,
        days=args.grant_days,
        as_json=args.json,
    )


def _grant(args: argparse.Namespace) -> int:
    from capsule_runtime.capsules import commands

    return commands.grant(args.directory, args.worker, args.grant_days, as_json=args.json)


def _host(args: argparse.Namespace) -> int:
    from capsule_runtime.capsules import commands

    return commands.host(args.source, args.state, as_json=args.json)


def _list(args: argparse.Namespace) -> int:
    from capsule_runtime.capsules import commands

    return commands.list_hosted(args.state, as_json=args.json)


def _erase(args: argparse.Namespace) -> int:
    from capsule_runtime.capsules import commands

    return commands.erase(args.capsule, args.state, args.directory, as_json=args.json)


def _consent_grant(args: argparse.Namespace) -> int:
    from capsule_runtime.capsules import consenting

    return consenting.decide_all(_request(args, days=args.days), as_json=args.json)


def _consent_revoke(args: argparse.Namespace) -> int:
    from capsule_runtime.capsules import consenting

    return consenting.decide_all(_request(args, days=None), as_json=args.json)


def _request(args: argparse.Namespace, *, days: int | None) -> Request:
    from capsule_runtime.capsules import consenting

    return consenting.Request(
        keys=args.keys,
        bundle=args.bundle,
        purpose=args.purpose,
        tables=tuple(args.table),
        only=tuple(args.capsule),
        only_file=args.capsules,
        card=args.worker,
        serial=args.serial,
        days=days,
        state=args.state,
    )


def _consent_list(args: argparse.Namespace) -> int:
    from capsule_runtime.capsules import consenting

    return consenting.list_decisions(args.directory, as_json=args.json)
