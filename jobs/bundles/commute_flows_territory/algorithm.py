"""Persons by home sector, work sector and mode of travel.

One capsule answers with one cell per person of its table `commute`; the grid adds the capsules
up, adds noise, and `conclude` puts a 95 % band around every count.
"""

import numpy as np

SHAPE = (10, 10, 5)  # home sectors, work sectors, modes; codes count from 1


def contribute(capsule, parameters):
    """Shape SHAPE: how many persons of this capsule make each trip."""
    table = capsule["commute"]
    codes = np.stack([table["home_sector"], table["work_sector"], table["mode"]])
    known = ((codes >= 1) & (codes <= np.array(SHAPE)[:, None])).all(axis=0)
    flows = np.zeros(SHAPE, np.int64)
    np.add.at(flows, tuple(codes[:, known] - 1), table["persons"][known])
    return {"flows": flows}


def conclude(aggregate, parameters):
    """The counts with the band that the noise alone explains, 95 times in 100."""
    flows = aggregate["flows"]
    half = 1.959964 * np.sqrt(aggregate["flows.variance"])
    return {
        "flows": flows,
        "flows_lower": np.maximum(flows - half, 0.0),
        "flows_upper": np.maximum(flows + half, 0.0),
    }
