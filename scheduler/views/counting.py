"""Counts of people within a reason, in tens as everywhere else on the pages.

What is stored tells the scheduler's operator exactly how many consents a machine holds or lacks.
A page that somebody watches would tell by that number, second by second, when one more person
consented or withdrew.
"""

from __future__ import annotations

import re

_TENS = 10
# What stands around such a number in the sentences of scheduler.domain.reasons; a test keeps both
# together. Within another sentence, or where one was cut short, it is found all the same.
_COUNT = re.compile(
    r"(?P<missing>(?<=waiting for consents: )[0-9]{1,9}(?= missing))"
    r"|[0-9]{1,9}(?= live consents on the worker)"
    r"|[0-9]{1,9}(?= claimed, )"
    r"|(?<= claimed, )[0-9]{1,9}(?= consents are known)"
    r"|(?<= claimed, the registry knows )[0-9]{1,9}"
    r"|(?<=the batch has )[0-9]{1,9}(?= contributors)"
)


def in_tens(why: str) -> str:
    """`why` with counts of people rounded down to tens, what is missing rounded up."""
    return _COUNT.sub(_rounded, why)


def _rounded(found: re.Match[str]) -> str:
    tens = int(found[0]) // _TENS
    if found["missing"]:
        tens = -(-int(found[0]) // _TENS)
    return str(tens * _TENS)
