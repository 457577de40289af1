"""A scheduler's state in one file, taken while it runs, and put back where that is honest."""
