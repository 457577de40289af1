"""What the grid has and spends: bundles, budgets, energy, workers, queue, and the alerts."""
