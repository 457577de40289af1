"""A line y = a x + b z + c by gradient descent."""

import numpy as np


def read_points(path):
    table = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
    return np.column_stack([table[:, :2], np.ones(len(table))]), table[:, 2]


def fit(weights, inputs, targets, steps, rate, proximal=0.0):
    start = weights.copy()
    for _ in range(steps):
        gradient = inputs.T @ (inputs @ weights - targets) / len(targets)
        weights = weights - rate * (gradient + proximal * (weights - start))
    return weights


def loss(weights, inputs, targets):
    return float(np.mean((inputs @ weights - targets) ** 2))
