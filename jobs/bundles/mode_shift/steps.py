"""From the noised sum of many people's gradients to the next model.

A step is the mean gradient divided by the network's curvature (its Fisher information) over an
invented population: a few rounds then suffice, and each can hear many people, which is what
noise costs least. The mean of a weight is over those whose graph has its edge type: an employer
without a line neither dilutes what the others say of lines nor is left out. Nothing here sees a
record.
"""

import numpy as np
import torch
from algorithm import LARGEST_LOSS, MODES, OWNERS, WEIGHTS, edges_of, graph_of, network, start

LONGEST = 4.0  # a step's length, at most: whatever the sum says, the state stays small
INVENTED = 400
NUDGE = 1e-4  # a weight's change that measures the scores' slope
BAND = 1.959964


def conclude(aggregate, parameters):
    """A step along the noised mean of the gradients; the model; how well it foresaw, till now."""
    counted, right, losses = aggregate["progress"][:3]
    persons = max(counted, 1.0)
    before = start(parameters["seed"]) + parameters["state"]["moved"]
    over = spoke(aggregate)
    told = over > 0
    # The curvature is a mean over everybody who was invented: so is the slope, row by row. Damping
    # is worth as many persons in each row, and weighs more where fewer spoke.
    share = np.where(OWNERS < 0, 1.0, edges_of(invented()).mean(axis=0)[OWNERS])[told]
    slope = share * aggregate["update"][told] / over[told]
    damping = float(parameters["damping"]) * share * persons / over[told]
    curved = curvature(before)[np.ix_(told, told)] + np.diag(damping)
    step = np.zeros(WEIGHTS)
    step[told] = np.linalg.solve(curved, slope)
    pace = float(parameters["rate"]) / (
        1.0 + float(parameters["slowing"]) * (parameters["round"] - 1)
    )
    step *= pace / max(1.0, pace * np.linalg.norm(step) / LONGEST)
    after = before - step
    half = BAND * np.sqrt(aggregate["progress.variance"][:3]) / persons
    seen = np.array([right, losses * LARGEST_LOSS]) / persons
    band = half[1:] * np.array([1.0, LARGEST_LOSS])
    return {
        "weights": after,
        "accuracy": seen[:1],
        "accuracy_lower": np.clip(seen[:1] - band[:1], 0.0, 1.0),
        "accuracy_upper": np.clip(seen[:1] + band[:1], 0.0, 1.0),
        "loss": seen[1:],
        "loss_lower": np.clip(seen[1:] - band[1:], 0.0, LARGEST_LOSS),
        "loss_upper": np.clip(seen[1:] + band[1:], 0.0, LARGEST_LOSS),
        "persons": np.array([counted]),
        "edges": aggregate["progress"][3:],
        "moved": parameters["state"]["moved"] - step,
        "stop": np.array([0]),
    }


def spoke(aggregate):
    """[49]: how many persons' graphs have the edge type that each weight belongs to.

    Zero where the count could be noise alone: nobody may have that type, its weights stand still.
    """
    having = aggregate["progress"][3:]
    noise = BAND * np.sqrt(aggregate["progress.variance"][3:])
    having = np.where(having > np.maximum(noise, 0.5), having, 0.0)
    return np.where(OWNERS < 0, max(aggregate["progress"][0], 1.0), having[OWNERS])


def curvature(weights):
    """[49, 49]: the Fisher information of the network at `weights`, over the invented people.

    No record plays a part in it: the people are drawn from ranges written down below.
    """
    graph = graph_of(invented())
    with torch.no_grad():
        middle = network(weights)(graph)
        slopes = np.empty((WEIGHTS, INVENTED, MODES))
        for index in range(WEIGHTS):
            nudged = np.array(weights)
            nudged[index] += NUDGE
            change = (network(nudged)(graph) - middle) / NUDGE
            slopes[index] = change.masked_fill(graph["closed"], 0.0).numpy()
        chances = torch.softmax(middle, dim=1).numpy()
    centred = slopes - (slopes * chances).sum(axis=2, keepdims=True)
    flat = (centred * np.sqrt(chances)).reshape(WEIGHTS, -1)
    return flat @ flat.T / INVENTED


def invented():
    """The table of 400 people of a large urban region, whom nobody asked: always the same ones."""
    draw = np.random.default_rng(1)
    distance = np.clip(draw.lognormal(2.1, 0.9, INVENTED), 0.4, 60.0)  # miles
    core = draw.random(INVENTED) < 0.12
    centre = ~core & (draw.random(INVENTED) < 0.17)
    jobs = draw.lognormal(3.0 + 2.5 * core + centre, 1.0)
    driving = 3.0 + 1.6 * distance
    fuel = 12.0 * distance + 300.0 * core * draw.random(INVENTED)  # cents
    nearby = np.exp(-distance / 40.0)  # the further, the fewer lines go there
    table = {
        "distance": distance,
        "income": np.clip(draw.lognormal(3.9, 0.6, INVENTED), 5.0, 150.0),
        "vehicles": np.minimum(draw.poisson(2.2, INVENTED), 6),
        "workers": 1 + np.minimum(draw.poisson(0.9, INVENTED), 3),
        "household": 1 + np.minimum(draw.poisson(1.8, INVENTED), 6),
        "home_residents": draw.lognormal(2.6, 0.9, INVENTED),
        "home_jobs": draw.lognormal(2.2, 1.4, INVENTED),
        "work_residents": draw.lognormal(2.9, 1.0, INVENTED),
        "work_jobs": jobs,
        "work_core": core,
        "work_centre": centre,
        "open_1": draw.random(INVENTED) < 0.95,
        "open_2": np.ones(INVENTED),
        "open_3": np.ones(INVENTED),
        "open_4": draw.random(INVENTED) < nearby,
        "open_5": distance < 11.0 * draw.random(INVENTED) + 2.0,
        "open_6": distance < 4.0,
    }
    rides = (driving, driving + 4.0, driving + 6.0, 6.0 + 2.2 * distance, 6.0 * distance, 0.0)
    waits = (3.8, 3.8, 3.8, 14.0 + 30.0 * draw.random(INVENTED), 3.8, 0.0)
    costs = (fuel, fuel / 2.0, fuel / 3.5, 80.0 + 5.0 * distance, 0.0, 0.0)
    for mode in range(MODES):
        there = table[f"open_{mode + 1}"]
        table[f"ride_{mode + 1}"] = rides[mode] * there
        table[f"wait_{mode + 1}"] = waits[mode] * there
        table[f"cost_{mode + 1}"] = costs[mode] * there
    return table
