"""Pure rules of the scheduler: no clock, no disk, no network; every function is total."""
