"""How many people use each mode for their usual trip, when it is long enough."""

import numpy as np

MODES = 4


def contribute(capsule, parameters):
    """One capsule's answer: a one in the cell of this person's mode, or nothing.

    `capsule` maps tables to columns (read-only numpy arrays); whatever this returns is rounded,
    clipped and added to at least nineteen others before anybody sees it.
    """
    trips = capsule["trips"]
    modes = np.zeros(MODES, np.int64)
    longest = int(np.argmax(trips["distance"]))
    mode = int(trips["mode"][longest])
    if trips["distance"][longest] >= float(parameters["shortest"]) and 1 <= mode <= MODES:
        modes[mode - 1] = 1
    return {"modes": modes}


def conclude(aggregate, parameters):
    """The report: the noised counts, and where the true ones lie 95 times in 100."""
    modes = aggregate["modes"]
    half = 1.959964 * np.sqrt(aggregate["modes.variance"])
    return {
        "modes": modes,
        "modes_lower": np.maximum(modes - half, 0.0),
        "modes_upper": np.maximum(modes + half, 0.0),
    }
