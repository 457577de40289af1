"""The demonstration: real processes, real data, every claim checked. Nothing imports it."""
