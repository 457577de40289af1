"""Rounds that follow rounds, in the real sandbox: what is carried and when it stops."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import numpy as np
import pytest
from following_bundle import MANIFEST, expected, files

from capsule_runtime.broker.program import Program, read_program
from capsule_runtime.rehearsal import Rehearsal, rehearse
from capsule_runtime.sandbox import Zygote
from jobs import archive, conclusion, parameters, state
from jobs.errors import ManifestRefused, ParametersRefused, ReportRefused
from protection.columns import Column
from trust.entropy import seeded
from trust.parameters import RoundParameters

pytestmark = pytest.mark.sandbox
RUN_AS = (64123, 64123) if os.geteuid() == 0 else None
VALUES = [1.0, 3.0, 8.0, 16.0]


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote.start(("numpy",), run_as=RUN_AS, keep_stderr=True) as warm:
        yield warm


def played(
    zygote: Zygote, program: Program, **settings: object
) -> tuple[Rehearsal, list[float], bytes]:
    manifest = program.bundle_file.manifest
    blob = parameters.encode({"rate": "0.5", "enough": 100, **settings}, manifest.bounds())
    seen: list[float] = []

    def hear(number: int, told: dict[str, Column]) -> None:
        assert number == len(seen) + 1
        seen.append(float(told["mean"][0]))

    capsules = [{"readings": {"value": np.array([int(value)])}} for value in VALUES]
    found = rehearse(zygote, program, blob, capsules, seeded(b"n"), progress=hear)  # type: ignore[arg-type]
    return found, seen, blob


def program_of(**changes: bytes) -> Program:
    return read_program(archive.pack(files(**changes)), {"numpy"})


def test_each_round_starts_where_the_one_before_ended(zygote: Zygote) -> None:
    found, seen, _ = played(zygote, program_of())
    assert seen == pytest.approx(expected(VALUES, 4), abs=1e-3)
    assert found.facts["rounds"] == 4
    assert found.report is not None


def test_a_bundle_may_stop_before_its_last_round(zygote: Zygote) -> None:
    found, seen, _ = played(zygote, program_of(), enough=2)
    assert len(seen) == 2
    assert found.report is not None


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("np.array([np.nan])", "not finite"),
        ("np.array([1e13])", "not finite"),
        ("np.zeros(2)", "output refused"),
    ],
)
def test_a_state_that_no_round_could_use_ends_the_campaign(
    zygote: Zygote, answer: str, why: str
) -> None:
    body = f'return {{"mean": np.zeros(1), "position": {answer}, "stop": np.array([0])}}'
    found, seen, _ = played(zygote, program_of(conclude=body.encode()))
    assert (found.report, seen) == (None, [])
    assert any(why in line for line in found.complaints)


def test_stop_is_yes_or_no(zygote: Zygote) -> None:
    body = b'return {"mean": np.zeros(1), "position": np.zeros(1), "stop": np.array([2])}'
    found, _, _ = played(zygote, program_of(conclude=body))
    assert any("neither 0 nor 1" in line for line in found.complaints)


def test_the_state_is_bound_to_its_round_and_to_its_shape() -> None:
    program = program_of()
    manifest = program.bundle_file.manifest
    settings = parameters.encode({"rate": "0.5", "enough": 9}, manifest.bounds())
    first = state.first(manifest, settings)
    program.contribute_job(first)
    moved = {"position": np.array([0.5])}
    program.contribute_job(state.following(settings, 2, moved))
    for wrong in (
        settings,
        state.following(settings, 1, moved),
        state.following(settings, 2, {"position": np.zeros(2)}),
        state.following(settings, 2, {"place": np.zeros(1)}),
        state.following(settings, 2, {"position": np.array([np.inf])}),
        RoundParameters(settings, 2, b"no columns").encode(),
    ):
        with pytest.raises(ParametersRefused):
            program.contribute_job(wrong)


def test_a_bundle_of_one_round_takes_no_state() -> None:
    one = MANIFEST.replace(b"maximum = 4\n", b"maximum = 1\n")
    one = one.replace(b"[state.position]\nshape = [1]\n", b"")
    program = program_of(manifest=one)
    settings = parameters.encode(
        {"rate": "0.5", "enough": 9}, program.bundle_file.manifest.bounds()
    )
    program.contribute_job(settings)
    with pytest.raises(ParametersRefused, match="declares none"):
        program.contribute_job(state.following(settings, 1, {"position": np.zeros(1)}))


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        (b"[state.position]\nshape = [1]\n", b"", "go together"),
        (b"maximum = 4\n", b"maximum = 1\n", "go together"),
        (b"[state.position]", b"[state.mean]", "returned by conclude"),
        (b"[state.position]", b"[state.stop]", "returned by conclude"),
        (b"rate = {", b"round = {", "every round is told"),
        (b"quorum = 1\n", b"quorum = 1\nshare = 2\n", "share is a part"),
        (b"quorum = 1\n", b'quorum = 1\ndraw = "0.5"\n', "rounds.draw"),
    ],
)
def test_a_manifest_whose_rounds_do_not_fit_is_refused(old: bytes, new: bytes, word: str) -> None:
    with pytest.raises(ManifestRefused, match=word):
        program_of(manifest=MANIFEST.replace(old, new))


def test_a_result_blob_that_was_altered_is_refused() -> None:
    manifest = program_of().bundle_file.manifest
    good = conclusion.from_frame(manifest, bytes(8 * 3))
    assert not conclusion.read(manifest, good).stop
    for position in range(len(good) - 24, len(good)):
        altered = good[:position] + bytes([good[position] ^ 0x7F]) + good[position + 1 :]
        with contextlib.suppress(ReportRefused):
            assert conclusion.read(manifest, altered).state is not None
