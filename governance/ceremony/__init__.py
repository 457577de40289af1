"""The root ceremony: who holds which duty, written once and signed offline by k of n."""
