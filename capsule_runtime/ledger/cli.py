"""`cadastre budget plan | show`: what privacy costs, what is left of it, where it was opened."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terminal.arguments import leaf
from terminal.exits import OK
from terminal.output import Output

if TYPE_CHECKING:
    from terminal.arguments import Verbs


def add_budget(verbs: Verbs) -> None:
    """The verbs of `cadastre budget`."""
    plan = leaf(
        verbs,
        "plan",
        _plan,
        summary="show what campaigns would cost one owner or person",
        example="cadastre budget plan --rho 0.1 --campaigns 3 --rounds 10",
    )
    plan.add_argument("--rho", required=True, help="zCDP of one campaign, as in its manifest")
    plan.add_argument("--campaigns", type=int, default=1, metavar="N")
    plan.add_argument("--rounds", type=int, default=1, metavar="N", help="of each campaign")
    plan.add_argument(
        "--sampling",
        type=float,
        default=1.0,
        metavar="Q",
        help="chance to be asked in a round; the ledger charges in full all the same",
    )
    show = leaf(
        verbs,
        "show",
        _show,
        summary="show the budgets left on a worker, in tens, or what an owner has opened",
        example="cadastre budget show --state /var/lib/cadastre",
    )
    whose = show.add_mutually_exclusive_group(required=True)
    whose.add_argument("--state", type=Path, metavar="DIR", help="the worker's directory")
    whose.add_argument(
        "folder", type=Path, nargs="?", metavar="FOLDER", help="an owner's directory"
    )


def _plan(arguments: argparse.Namespace) -> int:
    from protection import accounting, planning

    planned = planning.plan(
        accounting.decimal(arguments.rho, "rho"),
        arguments.campaigns,
        arguments.rounds,
        arguments.sampling,
    )
    output = Output(as_json=arguments.json)
    summary = {
        "campaigns": planned.campaigns,
        "rounds each": planned.rounds,
        "campaigns one ledger pays for": planned.affordable,
        "within one ledger": planned.affordable >= planned.campaigns,
    }
    costs = [
        {
            "span": cost.span,
            "rho": accounting.to_text(cost.rho),
            "epsilon": round(cost.epsilon, 3),
            "epsilon (PLD)": None if cost.pld is None else round(cost.pld, 3),
        }
        for cost in planned.costs
    ]
    if arguments.json:
        output.record({**summary, "delta": accounting.DELTA, "costs": costs})
        return OK
    output.table(list(costs[0]), [list(row.values()) for row in costs])
    output.line("")
    output.record(summary)
    output.line("")
    output.line("epsilon is at delta 1e-6; the ledger charges rho, PLD is for Gaussian noise")
    if costs[0]["epsilon (PLD)"] is None:
        output.line("no PLD figures: pip install 'cadastre[planning]' brings dp-accounting")
    elif planned.sampling < 1:
        output.line("PLD counts the sampling: it holds only where nobody knows who was asked")
    return OK


def _show(arguments: argparse.Namespace) -> int:
    output = Output(as_json=arguments.json)
    return (
        _show_worker(arguments.state, output)
        if arguments.state
        else _show_owner(arguments.folder, output)
    )


def _show_worker(state: Path, output: Output) -> int:
    from capsule_runtime.capsules import store
    from capsule_runtime.capsules.errors import CapsuleMissing
    from capsule_runtime.ledger import DEFAULT_CAP, Ledger, overview
    from trust.clock import SystemClock

    if not (state / store.FILE_NAME).exists():
        raise CapsuleMissing(
            f"no capsule was ever hosted in {state}",
            remedy="give the worker's own directory with --state",
        )
    clock = SystemClock()
    capsules, ledger = store.CapsuleStore(state, clock), Ledger(state, clock)
    try:
        owners = [(item.data_class, item.owner) for item in capsules.hosted()]
        lines = overview.overview(
            ((data_class, ledger.spent(owner)) for data_class, owner in owners), DEFAULT_CAP
        )
    finally:
        ledger.close()
        capsules.close()
    output.table(
        ["data class", "capsules", "< 1/4 left", "1/4 - 1/2", "1/2 - 3/4", "> 3/4 left"],
        [[line.data_class.value, line.capsules, *line.quarters] for line in lines],
    )
    output.line("counts are rounded to tens: nothing here speaks of one capsule")
    return OK


def _show_owner(folder: Path, output: Output) -> int:
    from capsule_runtime.capsules.directory import OwnerDirectory
    from protection import accounting
    from trust.documents.budget import LEDGER_CAP, OWNER_CAP

    directory = OwnerDirectory(folder)
    owners: dict[str, set[str]] = {}
    for consent in _granted(folder):
        owners.setdefault(str(consent.owner), set()).add(str(consent.worker))
    most = max((len(hosts) for hosts in owners.values()), default=0)
    opened = most * LEDGER_CAP
    output.record(
        {
            "capsules": len(directory.capsule_files()),
            "owners who consented": len(owners),
            "most hosts of one owner": most,
            "hosts allowed": OWNER_CAP // LEDGER_CAP,
            "rho opened at most": accounting.to_text(opened),
            "epsilon at delta 1e-6": round(accounting.epsilon(opened), 3),
        }
    )
    output.line(f"each host's ledger ends at {LEDGER_CAP} zCDP per owner; what is spent there,")
    output.line("only the host knows: its keeper sees it in tens with `cadastre budget show`.")
    output.line("The registry counts hosts, not what was spent: one that you left still counts")
    return OK


def _granted(folder: Path) -> list[Any]:
    """Every grant of consent in the folder, verified; what does not verify is not counted."""
    from trust.documents import signed
    from trust.documents.consent import Consent, Decision
    from trust.errors import TrustError

    found = []
    for path in sorted((folder / "consents").glob("*.consent")):
        try:
            consent = signed.verify_self_named(Consent, path.read_bytes(), "owner").document
        except (OSError, TrustError):
            continue
        if consent.decision is Decision.GRANT:
            found.append(consent)
    return found
