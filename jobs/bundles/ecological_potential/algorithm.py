"""Links between sectors whose car drivers could travel otherwise, by avoided CO2e.

One capsule answers with one cell per person of its table `commute`: way of travel, home sector,
work sector; and, of those who drive, with their kilometres. `conclude` sees the noised sums. What
is plausible on a pair is what its home and its work let expect: each way of travel is fitted to
its own totals by home and by work, given the persons of every pair.
"""

import numpy as np

SHAPE = (5, 10, 10)  # none, walk, two wheels, car, public transport; homes; works
CAR = 3
TARGETS = (1, 2, 4)  # what a link can be strengthened for
LONGEST_KM = 30.0  # of a trip, as far as it counts
LINES = 20
LEAST_PERSONS = 20  # as suppress_below: under it a cell is neither used nor told
SWEEPS = 50
WAYS = 2  # there and back
BAND = 1.959964
# kgCO2e per person and km: value, low, high (ADEME, Base Empreinte, as in graph/factors.py).
FACTORS = np.array(
    [
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0],
        [0.0763, 0.0, 0.191],
        [0.1701, 0.14736, 0.1809],
        [0.00978, 0.00503, 0.113],
    ]
)


def contribute(capsule, parameters):
    """Persons of shape SHAPE, and kilometres driven of shape (10, 10) in units of LONGEST_KM."""
    table = capsule["commute"]
    codes = np.stack([table["mode"], table["home_sector"], table["work_sector"]])
    known = ((codes >= 1) & (codes <= np.array(SHAPE)[:, None])).all(axis=0)
    mode, home, work = codes[:, known] - 1
    persons = table["persons"][known]
    flows, driven = np.zeros(SHAPE, np.int64), np.zeros(SHAPE[1:])
    np.add.at(flows, (mode, home, work), persons)
    far = np.clip(table["metres"][known] / 1000.0 / LONGEST_KM, 0.0, 1.0)
    np.add.at(driven, (home, work), np.where(mode == CAR, persons * far, 0.0))
    return {"flows": flows, "driven": driven}


def conclude(aggregate, parameters):
    """The LINES links that would avoid most, with bands of the noise and of the factors."""
    told = aggregate["flows"] >= LEAST_PERSONS
    flows = np.where(told, aggregate["flows"], 0.0)
    noise = np.where(told, aggregate["flows.variance"], 0.0)
    shift, spread = shifted(flows, plausible(flows), noise)
    far = aggregate["driven"] * LONGEST_KM
    with np.errstate(divide="ignore", invalid="ignore"):
        km = np.where(told[CAR], far / flows[CAR], 0.0)
        # Persons who drive are noised too: to first order, km errs by (far's - km x theirs) / n.
        km_spread = np.where(
            told[CAR],
            np.sqrt(aggregate["driven.variance"] * LONGEST_KM**2 + km**2 * noise[CAR]) / flows[CAR],
            0.0,
        )
    km = np.clip(km, 0.0, LONGEST_KM)
    low_km = np.maximum(km - BAND * km_spread, 0.0)
    high_km = np.minimum(km + BAND * km_spread, LONGEST_KM)
    saved = FACTORS[CAR, 0] - FACTORS[:, 0]
    least = np.maximum(FACTORS[CAR, 1] - FACTORS[:, 2], 0.0)
    most = FACTORS[CAR, 2] - FACTORS[:, 1]
    trips = WAYS * int(parameters["days"])
    value = trips * km * shift * saved[:, None, None]
    lower = trips * low_km * np.maximum(shift - BAND * spread, 0.0) * least[:, None, None]
    leaving = np.minimum(shift + BAND * spread, flows[CAR])
    upper = trips * high_km * leaving * most[:, None, None]
    # A way without a cell today is left out: up to LEAST_PERSONS may travel so.
    ranked = np.where(told, value, 0.0)
    ranked[[mode for mode in range(SHAPE[0]) if mode not in TARGETS]] = 0.0
    order = np.argsort(-ranked, axis=None, kind="stable")[:LINES]
    kept = ranked.reshape(-1)[order] > 0
    codes = np.stack(np.unravel_index(order, SHAPE), axis=1)[:, [1, 2, 0]] + 1
    return {
        "links": np.where(kept[:, None], codes, 0).astype(np.int64),
        "shift": np.where(kept, shift.reshape(-1)[order], 0.0),
        "avoided": np.where(kept, value.reshape(-1)[order], 0.0),
        "avoided_lower": np.where(kept, lower.reshape(-1)[order], 0.0),
        "avoided_upper": np.where(kept, upper.reshape(-1)[order], 0.0),
    }


def plausible(flows):
    """Shares of shape SHAPE: persons of each type meet its own totals by home and by work.

    By turns (iterative proportional fitting): given each pair's persons, a way of travel is as
    frequent as its home and its work make it, and nothing else. Types without persons stay zero.
    """
    pairs = flows.sum(axis=0)
    homes, works = flows.sum(axis=2), flows.sum(axis=1)
    fitted = np.where(flows.sum(axis=(1, 2), keepdims=True) > 0, pairs / SHAPE[0], 0.0)
    for _ in range(SWEEPS):
        fitted = fitted * _ratio(homes, fitted.sum(axis=2))[:, :, None]
        fitted = fitted * _ratio(works, fitted.sum(axis=1))[:, None, :]
        fitted = fitted * _ratio(pairs, fitted.sum(axis=0))
    return fitted * _ratio(np.ones_like(pairs), fitted.sum(axis=0))


def shifted(flows, share, noise):
    """Persons who would change to each way, and the standard deviation that the noise gives them.

    Drivers above the plausible share go where persons lack, in proportion; nobody twice.
    """
    lacking = flows.sum(axis=0) * share - flows
    surplus = np.maximum(-lacking[CAR], 0.0)
    gaining = np.maximum(lacking, 0.0)
    gaining[CAR] = 0.0
    part = gaining * _ratio(np.ones_like(surplus), gaining.sum(axis=0))
    # The surplus is (1 - share) drivers less share of every other: its noise, given the shares.
    others = noise.sum(axis=0) - noise[CAR]
    deviation = np.sqrt((1.0 - share[CAR]) ** 2 * noise[CAR] + share[CAR] ** 2 * others)
    return part * surplus, part * deviation


def _ratio(over, under):
    return np.divide(over, under, out=np.zeros_like(over), where=under > 0)
