"""A whole territory of real processes on one machine: what demo, benchmarks and fault tests run on.

Its commands are the ones that operators and members type; nothing of the product imports it.
"""
