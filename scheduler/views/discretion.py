"""Counts of people within a reason, as coarse as everywhere else on the pages.

What is stored tells the scheduler's operator exactly how many consents a machine holds or lacks.
A page that somebody watches would tell by that number, second by second, when one more person
consented or withdrew. So it says between which tens the number lies; everything else stays.
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


def discreet(why: str) -> str:
    """`why` with counts of people as tens: 17 is between 10 and 19, and lacks 11 to 20."""
    return _COUNT.sub(_tens, why)


def _tens(found: re.Match[str]) -> str:
    lacking = 1 if found["missing"] else 0
    low = (int(found[0]) - lacking) // _TENS * _TENS + lacking
    return f"{low}\u2013{low + _TENS - 1}"
