"""What voters and authors are shown about a bundle, computed from its manifest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from jobs.schema import Manifest
from protection import accounting
from protection.capacity import bits_per_release

if TYPE_CHECKING:
    from terminal.output import Output


def releases(manifest: Manifest) -> list[dict[str, Any]]:
    """One row per release: layout, clip, noise (in the output's unit) and bits, at most."""
    rounds = manifest.rounds.maximum
    rows = []
    for rules in manifest.rules():
        noise = accounting.noise_of(rules, rounds)
        rows.append(
            {
                "release": rules.output
                if rules.product is None
                else f"{rules.output} (only inside {rules.product})",
                "shape": "x".join(map(str, rules.shape)),
                "step": rules.step,
                "clip": f"{rules.norm.value} <= {rules.bound}",
                "protection": rules.protection.value,
                "noise": rules.mechanism.value,
                # Of one draw: `clear` adds one per worker, `shared` one per aggregator, and
                # `encrypted` one in all, by the keyholder.
                "noise sigma": round(noise.sigma * float(accounting.step_of(rules)), 4),
                "rho": rules.rho,
                "bits per release": round(bits_per_release(rules), 1),
                "minimum": f"{rules.minimum_contributors} {rules.unit.value}s, "
                f"{rules.minimum_capsules} capsules",
                "suppressed below": rules.suppress_below,
            }
        )
    return rows


def privacy(manifest: Manifest) -> dict[str, Any]:
    """What one whole campaign costs one privacy unit."""
    rules = manifest.rules()
    rho, rounds = accounting.rho_of(rules), manifest.rounds.maximum
    return {
        "privacy unit": manifest.unit.value,
        "ledger charge (rho, zCDP)": accounting.to_text(rho),
        "epsilon at delta 1e-6": round(accounting.epsilon(rho), 3),
        "bits per unit and campaign": round(
            math.fsum(bits_per_release(rule) for rule in rules) * rounds, 1
        ),
        "rounds": rounds,
    }


def carried(manifest: Manifest) -> dict[str, Any]:
    """What travels between rounds and is kept for auditors, in MiB; nothing without a state.

    Every round's parameters stay with the scheduler as long as its log entries do.
    """
    if not manifest.state:
        return {}
    each = sum(8 * math.prod(array.shape) for array in manifest.state.values()) / 2**20
    return {
        "state, MiB to every worker and round": round(each, 2),
        "states kept by the scheduler, MiB at most": round(each * manifest.rounds.maximum, 1),
    }


def defaults(manifest: Manifest) -> dict[str, str]:
    """The parameters' declared defaults, as a person would type them."""
    return {
        name: str(parameter.default)
        for name, parameter in manifest.parameters.items()
        if parameter.default is not None
    }


def show_privacy(output: Output, manifest: Manifest) -> None:
    """The privacy figures as tables for people."""
    rows = releases(manifest)
    output.table(list(rows[0]), [list(row.values()) for row in rows])
    output.line("")
    output.record(privacy(manifest))
