"""The front door: `cadastre <noun> <verb>`.

A noun's module is imported only when the noun is asked for, so that a desktop that runs the
agent needs no server package, and a missing extra is named instead of a traceback.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from terminal import exits
from terminal.arguments import verbs_of
from trust.problem import Problem

EPILOG = """\
Every verb has --help with an example and --json for machines.
exit codes: 0 ok, 1 failure, 2 usage, 3 verification failed, 4 not found, 75 not ready
"""


@dataclass(frozen=True)
class Noun:
    """A noun, what it is about, who adds its verbs and which extra of the package they need."""

    name: str
    summary: str
    parts: tuple[str, ...]  # "module:function", each called with the noun's verbs
    extra: str
    alone: bool = False  # a noun without verbs: its one part gets the noun's parser


NOUNS = (
    Noun(
        "worker",
        "the agent on this machine",
        (
            "worker.cli:add_worker",
            "client.membership:add_workers",
            "client.actions:add_worker_actions",
        ),
        "",
    ),
    Noun("capsule", "sealed data of owners", ("capsule_runtime.cli:add_capsule",), "capsule"),
    Noun(
        "consent",
        "owners' permissions",
        ("capsule_runtime.cli:add_consent", "client.consents:add_consents"),
        "capsule",
    ),
    Noun("budget", "privacy budgets", ("capsule_runtime.ledger.cli:add_budget",), "capsule"),
    Noun(
        "bundle",
        "signed algorithms",
        (
            "jobs.cli:add_bundle",
            "capsule_runtime.trial:add_try",
            "capsule_runtime.adoption:add_from_flower",
            "client.bundles:add_bundles",
        ),
        "capsule",
    ),
    Noun(
        "campaign",
        "runs of authorised bundles",
        ("client.campaigns:add_campaign", "client.actions:add_campaign_actions"),
        "",
    ),
    Noun("model", "models that campaigns trained", ("client.models:add_model",), "models"),
    Noun("graph", "the territory's graph", ("graph.cli:add_graph",), "graph"),
    Noun("log", "the verifiable log", ("client.log:add_log",), ""),
    Noun("operator", "this terminal's identity", ("client.membership:add_operator",), ""),
    Noun(
        "scheduler",
        "the territory's scheduler",
        (
            "scheduler.cli:add_scheduler",
            "scheduler.people:add_people",
            "scheduler.backup.cli:add_copies",
        ),
        "scheduler",
    ),
    Noun("root", "the territory root", ("governance.ceremony.cli:add_root",), "governance"),
    Noun(
        "college", "the cooperative's keys", ("governance.college.cli:add_college",), "governance"
    ),
    Noun(
        "authorisation",
        "the cooperative's decisions",
        ("governance.college.cli:add_authorisation",),
        "governance",
    ),
    Noun(
        "status", "governance's signed status", ("governance.status.cli:add_status",), "governance"
    ),
    Noun("helper", "the second aggregator", ("governance.helper.cli:add_helper",), "governance"),
    Noun(
        "keyholder",
        "who opens encrypted sums",
        ("governance.keyholder.cli:add_keyholder",),
        "governance",
    ),
    Noun(
        "trustee",
        "who holds a share of its keys",
        ("governance.trustee.cli:add_trustee",),
        "governance",
    ),
    Noun(
        "witness",
        "an independent witness of the log",
        ("governance.witness.cli:add_witness",),
        "governance",
    ),
    Noun(
        "audit",
        "replaying signed evidence",
        ("audit.cli:add_audit", "audit.monitor.cli:add_monitor"),
        "audit",
    ),
    Noun("bench", "measuring this machine", ("benchmarks.cli:add_bench",), "dev", alone=True),
    Noun(
        "doctor",
        "what would stop a worker here",
        ("worker.examination:add_doctor",),
        "",
        alone=True,
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="cadastre",
        description="A volunteer grid for a territory: the algorithm travels, the data stays.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    nouns = parser.add_subparsers(metavar="NOUN", required=True)
    asked = next((word for word in words if not word.startswith("-")), None)
    for noun in NOUNS:
        entry = nouns.add_parser(noun.name, help=noun.summary, description=noun.summary)
        if noun.name == asked:
            try:
                _fill(noun, entry)
            except ModuleNotFoundError as error:
                return _missing(noun, error)
    arguments = parser.parse_args(words)
    try:
        return int(arguments.run(arguments))
    except Problem as problem:
        return exits.explain(problem)
    except ModuleNotFoundError as error:
        return _missing(next(noun for noun in NOUNS if noun.name == asked), error)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return exits.FAILURE
    except BrokenPipeError:
        # The reader of a pipe went away; point stdout elsewhere so that exit stays quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILURE


def _fill(noun: Noun, parser: argparse.ArgumentParser) -> None:
    target = parser if noun.alone else verbs_of(parser)
    for part in noun.parts:
        module, function = part.split(":")
        getattr(importlib.import_module(module), function)(target)


def _missing(noun: Noun, error: ModuleNotFoundError) -> int:
    extra = f"[{noun.extra}]" if noun.extra else ""
    sys.stderr.write(
        f"error: `cadastre {noun.name}` needs the Python package {error.name}, which is not "
        f"installed here [extra-missing]\n  remedy: pip install 'cadastre{extra}'\n"
    )
    return exits.FAILURE


if __name__ == "__main__":
    sys.exit(main())
