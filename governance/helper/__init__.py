"""The helper: the cooperative's half of the aggregation, a process of its own with its own keys.

It opens the seeds that workers sealed to it, never sees a value, and answers for one batch per
round with the sum of the masks and its own whole noise.
"""
