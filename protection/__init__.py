"""Pure numerics of what leaves a capsule: quantising, clipping, noise, accounting, columns."""
