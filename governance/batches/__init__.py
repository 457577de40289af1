"""What helper, keyholder and trustee each ask of a batch before they do their part in opening it.

Shared words and pure checks; every process still asks with its own keys, memory and view of the
log, and believes none of the others.
"""
