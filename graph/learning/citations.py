"""A public citation graph: papers with words and subjects, and who cites whom.

Read from one NumPy archive (Planetoid's Cora: 2,708 papers, 1,433 words, 7 subjects). It is the
measure that federated graph learning is compared by, and public: the only class of data whose
parts may be laid side by side.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graph.learning.errors import CitationsRefused

Whole = NDArray[np.int64]
TRAINING, VALIDATION, TEST = 1, 2, 3  # the column `split`; 0: none of them
_ARRAYS = (
    *("feature_indptr", "feature_indices", "shape", "labels", "edge_index"),
    *("train", "validation", "test"),
)


@dataclass(frozen=True)
class Citations:
    """Papers 0 to n - 1. A feature is a word that a paper has; an edge runs both ways."""

    labels: Whole  # (papers,): the subject
    edges: Whole  # (2, citations): each pair once, the smaller number first
    features: Whole  # (2, pairs): paper, word
    words: int
    split: Whole  # (papers,): the published one

    @property
    def papers(self) -> int:
        """How many papers there are."""
        return len(self.labels)


def read(path: Path) -> Citations:
    """The graph in the archive `path`. Raises CitationsRefused."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name], np.int64) for name in _ARRAYS}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CitationsRefused(
            f"{path.name} is not an archive of a citation graph: {error}",
            remedy=f"give an .npz file with the arrays {', '.join(_ARRAYS)}",
        ) from error
    papers, words = arrays["shape"].tolist()
    rows = np.repeat(np.arange(papers), np.diff(arrays["feature_indptr"]))
    ends = np.sort(arrays["edge_index"], axis=0)
    ends = np.unique(ends[:, ends[0] != ends[1]], axis=1)
    split = np.zeros(papers, np.int64)
    for part, name in ((TRAINING, "train"), (VALIDATION, "validation"), (TEST, "test")):
        split[arrays[name]] = part
    return Citations(
        arrays["labels"], ends, np.stack([rows, arrays["feature_indices"]]), words, split
    )
