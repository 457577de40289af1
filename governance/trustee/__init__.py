"""A trustee: one person's share of every campaign's key, and the judgement that goes with it.

The share is given for one batch of one round, after this program has convinced itself, from the
log and from governance's own status, that the college voted it and nobody stopped it.
"""
