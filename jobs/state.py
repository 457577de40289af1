"""The state that a bundle of several rounds carries from each round to the next.

Arrays of float64, declared in `[state.NAME]`. It starts as zeros, the same for everybody and
without a draw: a bundle that wants a random start adds its own, made from a seed among its
parameters. What a round concludes becomes a part of the next round's parameters.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from jobs.errors import ParametersRefused, ReportRefused
from jobs.schema import Manifest
from protection import columns
from protection.columns import Column
from protection.errors import ColumnsMalformed
from trust.parameters import RoundParameters

TABLE = "state"
DTYPE = "float64"
# Beyond this a float64 has no thousandth left: no model needs it, and sums of squares overflow.
LARGEST = 1e12


def first(manifest: Manifest, settings: bytes) -> bytes:
    """The first round's parameter blob; the settings alone where no state is declared."""
    if not manifest.state:
        return settings
    zeros = {name: np.zeros(array.shape) for name, array in manifest.state.items()}
    return following(settings, 1, zeros)


def following(settings: bytes, number: int, state: Mapping[str, Column]) -> bytes:
    """The parameter blob of round `number`, which carries `state`."""
    return RoundParameters(settings, number, columns.encode({TABLE: state})).encode()


def checked(manifest: Manifest, state: Mapping[str, Column]) -> dict[str, Column]:
    """`state` in the manifest's order. Raises ReportRefused when it is not as declared."""
    if set(state) != set(manifest.state):
        raise ReportRefused("the state does not hold exactly the declared arrays")
    for name, array in manifest.state.items():
        if state[name].dtype.name != DTYPE or state[name].shape != array.shape:
            raise ReportRefused(f"state {name} is not {DTYPE} of shape {list(array.shape)}")
        if not (np.isfinite(state[name]).all() and np.abs(state[name]).max() <= LARGEST):
            raise ReportRefused(
                f"state {name} holds what is not finite, or is over {LARGEST:g}",
                remedy="the bundle bounds its step: lower its learning rate",
            )
    return {name: state[name] for name in manifest.state}


def require(manifest: Manifest, parameters: RoundParameters) -> None:
    """Raise ParametersRefused unless the blob carries exactly the state that is declared."""
    if not manifest.state:
        if parameters.state is not None:
            raise ParametersRefused("the parameters carry a state, the bundle declares none")
        return
    if parameters.state is None:
        raise ParametersRefused("the parameters carry no state, the bundle declares one")
    try:
        tables = columns.decode(parameters.state)
        state = checked(manifest, tables.get(TABLE, {}))
    except (ColumnsMalformed, ReportRefused) as error:
        raise ParametersRefused(error.sentence, remedy=error.remedy) from error
    if set(tables) != {TABLE}:
        raise ParametersRefused("the state is not one table")
    if parameters.round == 1 and any(array.any() for array in state.values()):
        raise ParametersRefused(
            "the state of a first round is not zero", remedy="tell the scheduler's operator"
        )
