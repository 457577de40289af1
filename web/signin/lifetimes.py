"""How long anything here lives, how many of it there may be, and where the figures come from.

- SP 800-63B: NIST, Digital Identity Guidelines, revision 3 (section 4.2.3) and 4 (section 2.2.3),
  at assurance level 2, which is what operators need.
- RFC 6749, section 4.1.2: an authorization code lives for at most ten minutes.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# Sessions. Revision 4 wants at most an hour without a sign of the person; what a page fetches by
# itself is none. Revision 3 wants at most twelve hours in all (revision 4: 24), a working day.
IDLE = timedelta(hours=1)
LONGEST_SESSION = timedelta(hours=12)
# A session's last sign is written at most so often: a page of ten parts is one write, not ten.
TOUCH_EVERY = timedelta(minutes=1)
# How recent a sign-in must be to make keys and to do what a route calls delicate.
FRESH = timedelta(minutes=15)
# When somebody proved who they are whose issuer does not say when: it may have been long ago.
UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)
# A stream that stays open looks so often whether its session still stands, in seconds.
LOOK_AGAIN = 15.0
# More than a person has devices; the one unseen for longest ends. All of a city's staff together.
SESSIONS_EACH = 10
SESSIONS_ALL = 10_000

# One-time tokens. The first one is read off the terminal; an invitation waits in a letter-box.
START_LIFE = timedelta(minutes=15)
INVITATION_LIFE = timedelta(days=3)
LONGEST_INVITATION = timedelta(days=14)
# Keys that a person keeps, and tokens of programs. Both can be taken back at any time. Nobody tells
# us that a program's owner left the identity provider: their token outlives them by this at most.
KEY_LIFE = timedelta(days=365)
API_LIFE = timedelta(days=30)
CREDENTIALS_EACH = 20
CREDENTIALS_ALL = 10_000

# From leaving for the identity provider to coming back: a code's ten minutes at most.
DEPARTURE_LIFE = timedelta(minutes=10)
DEPARTURES_ALL = 10_000
