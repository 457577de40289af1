"""The bundle of a probed app: its files, the adapter, the plan, and a bundle.toml to vote on."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from jobs.archive import MANIFEST
from jobs.fields import MAXIMUM_CELLS
from jobs.flower import screening
from jobs.flower.adapter.plan import MODULE
from jobs.flower.app import FlowerApp
from jobs.flower.choices import LEAST_DEADLINE_SECONDS, Choices
from jobs.flower.errors import FlowerAppRefused
from jobs.flower.probe import PACKAGE, Probed, adapter_sources
from jobs.mistakes import toml

NOTES = "FLOWER.md"
MEMORY_MIB = {False: 768, True: 2048}  # without and with torch
# Of the price: most of it for the model, the rest for what is read beside it.
_SHARES = {"update": Decimal("0.8"), "metrics": Decimal("0.1"), "weight": Decimal("0.1")}
_PUBLIC_STEP, _STEPS_PER_CLIP = Decimal("0.000000001"), 100_000
_LABEL_LETTERS = 80
DEADLINE_SECONDS = 600  # of a round, for an app that would wait longer


def libraries(used: frozenset[str]) -> tuple[str, ...]:
    """What the bundle's sandbox must hold."""
    torch = (screening.TORCH,) if screening.TORCH in used else ()
    return ("numpy", *torch, "flwr")


def memory_mib(choices: Choices, used: frozenset[str]) -> int:
    """The address space of one run."""
    return choices.run.memory_mib or MEMORY_MIB[screening.TORCH in used]


def deadline(choices: Choices, probed: Probed) -> int:
    """Seconds after which a round ends: as chosen, else no longer than the app would wait.

    In Flower its timeout ends the wait for clients that do not answer; in a replay nothing passes,
    so what was voted has to. The least is what one run may take.
    """
    run = choices.run
    least = max(run.wall_seconds, LEAST_DEADLINE_SECONDS)
    return run.deadline_seconds or max(int(min(probed.patience, DEADLINE_SECONDS)), least)


def files(
    app: FlowerApp, choices: Choices, probed: Probed, used: frozenset[str]
) -> dict[str, bytes]:
    """Everything in the bundle by path. Raises FlowerAppRefused."""
    ours = {
        **adapter_sources(),
        f"{MODULE}.py": probed.plan.encode().encode(),
        NOTES: _notes(app, probed).encode(),
        MANIFEST: manifest(app, choices, probed, used).encode(),
    }
    taken = {path.split("/")[0] for path in ours} & {path.split("/")[0] for path in app.files}
    if taken:
        raise FlowerAppRefused(
            "source-unfit", f"the app holds {', '.join(sorted(taken))}, a name that the bundle uses"
        )
    return {**app.files, **ours}


def manifest(app: FlowerApp, choices: Choices, probed: Probed, used: frozenset[str]) -> str:
    """The text of bundle.toml. Raises FlowerAppRefused for a model that no state holds."""
    plan, run, release = probed.plan, choices.run, choices.release
    cells = plan.heading_cells + plan.message_cells + plan.journal_cells
    if cells > MAXIMUM_CELLS // 2:
        raise FlowerAppRefused(
            "model-too-large",
            f"{probed.rounds} rounds of replies take {cells} numbers; a state holds "
            f"{MAXIMUM_CELLS // 2}",
            remedy="fewer rounds (num-server-rounds, fraction-evaluate = 0) or a smaller model",
        )
    quorum = max(run.quorum or 1, release.minimum_workers)
    counted = [_report("replies", "int64", "replies", ("replies that counted",))]
    parts = [
        _section(
            "bundle",
            name=app.name,
            version=app.version,
            title={"fr": app.title, "en": app.title},
            purpose=run.purpose,
            licence=app.licence,
            authors=list(app.authors),
        ),
        _section(
            "entry",
            contribute=f"{PACKAGE}.entries:contribute",
            conclude=f"{PACKAGE}.entries:conclude",
            runtime="python",
            profile="min",
        ),
        _section(
            "needs",
            tables={choices.data.table: list(choices.needed)},
            classes=[data_class.value for data_class in choices.data.classes],
            libraries=list(libraries(used)),
            memory_mib=memory_mib(choices, used),
            cpu_seconds=run.cpu_seconds,
            wall_seconds=run.wall_seconds,
        ),
        _release(choices, "update", plan.rows * probed.update, "l2", Decimal(release.clip)),
        _release(
            choices, "metrics", plan.rows * probed.metrics, "l2", Decimal(release.metric_clip)
        ),
        _release(choices, "weight", plan.weights, "linf", Decimal(1)),
        _report("metrics", "float64", "as the app measures", probed.labels),
        _report("examples", "float64", "examples", ("examples of the round",)),
        *(counted if plan.counts_replies else ()),
        _report("finished", "int64", "0 or 1", ("the ServerApp has ended",)),
        _section("state.heading", shape=[plan.heading_cells]),
        _section("state.message", shape=[plan.message_cells]),
        _section("state.journal", shape=[plan.journal_cells]),
        # A single round would have no state to carry; `stop` ends such an app after one.
        _section(
            "rounds",
            maximum=max(probed.rounds, 2),
            quorum=quorum,
            deadline_seconds=deadline(choices, probed),
            share=run.share,
            spare=run.spare,
            **({"draw": run.draw} if run.draw != "1" else {}),
        ),
        _section(
            f"mock.{choices.data.table}",
            **choices.mock.model_dump(mode="json", exclude_defaults=True),
        ),
    ]
    return "\n".join(parts)


def _release(choices: Choices, name: str, cells: int, norm: str, bound: Decimal) -> str:
    release = choices.release
    noise: dict[str, object] = {"mechanism": "none"}
    step = _PUBLIC_STEP if choices.public else bound / _STEPS_PER_CLIP
    if release.rho is not None:
        price = Decimal(release.rho) * _SHARES[name]
        noise = {"mechanism": "discrete_gaussian", "rho": format(price, "f")}
    return _section(
        f"release.{name}",
        shape=[cells],
        dtype="float64",
        step=format(Decimal(release.step) if release.step else step, "f"),
        clip={"norm": norm, "bound": format(bound, "f")},
        unit=release.unit.value,
        protection=choices.protection.value,
        noise=noise,
        minimum_contributors=release.minimum_contributors,
        maximum_contributors=release.maximum_contributors,
        minimum_workers=release.minimum_workers,
        minimum_operators=release.minimum_operators,
    )


def _report(name: str, dtype: str, unit: str, labels: tuple[str, ...]) -> str:
    shown = [label[:_LABEL_LETTERS] for label in labels]
    return _section(f"report.{name}", shape=[len(shown)], dtype=dtype, unit=unit, labels=[shown])


def _section(heading: str, /, **entries: object) -> str:
    lines = [f"{key} = {toml(value)}" for key, value in entries.items()]
    return "\n".join([f"[{heading}]", *lines, ""])


def _notes(app: FlowerApp, probed: Probed) -> str:
    arrays = "\n".join(
        f"| {key} | {dtype} | {'x'.join(map(str, shape)) or '1'} |"
        for key, dtype, shape in probed.arrays
    )
    left_out = ", ".join(app.left_out) or "nothing"
    config: Mapping[str, object] = probed.plan.config
    return (
        f"# {app.name}: a Flower app\n\n"
        f"ServerApp `{app.server}`, ClientApp `{app.client}`, unmodified; `{PACKAGE}` is the "
        f"adapter. Left out of the app's folder: {left_out}.\n\n"
        f"Run configuration: {toml(config)}\n\n"
        f"On invented data it took {probed.rounds} rounds. The last state's `message` holds these "
        "arrays one after the other:\n\n| array | type | shape |\n| --- | --- | --- |\n"
        f"{arrays}\n"
    )
