"""The bundle's own module, for judging what it learnt: the released model is public.

Only here and in tests does a bundle's code run outside the sandbox: it is this project's own, and
it reads people whom no capsule holds.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from typing import cast

import numpy as np

from demo.learning_data import EMPLOYERS, Columns, Staff
from graph.learning import mode_shift
from graph.learning.mode_shift import Algorithm, Comparison, Numbers, Score
from jobs.opening import built_in_folder

BUNDLE = "mode_shift"


def algorithm() -> Algorithm:
    """The module `algorithm` of the bundle."""
    name = f"{BUNDLE}_algorithm"
    if name not in sys.modules:
        path = built_in_folder(BUNDLE) / "algorithm.py"
        specification = importlib.util.spec_from_file_location(name, path)
        assert specification is not None
        assert specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        sys.modules[name] = module  # its message passing looks itself up there
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch_geometric's own, about torch's future
            specification.loader.exec_module(module)
    return cast("Algorithm", sys.modules[name])


def baselines(staff: Staff) -> Comparison:
    """The models without protection, judged by the held-out people."""
    return mode_shift.baselines(algorithm(), _employers(staff), staff.judges())


def baseline(name: str, staff: Staff) -> Score:
    """One of them."""
    return mode_shift.BASELINES[name](algorithm(), _employers(staff), staff.judges())


def _employers(staff: Staff) -> list[Columns]:
    return [staff.trained_on(number) for number in range(EMPLOYERS)]


def judged(weights: Numbers, staff: Staff) -> Score:
    """A released model's score: `weights` are its report's 49 numbers."""
    people = staff.judged_by()
    return mode_shift.score(algorithm().probabilities(np.asarray(weights), people), people)


__all__ = ["BUNDLE", "algorithm", "baseline", "baselines", "judged"]
