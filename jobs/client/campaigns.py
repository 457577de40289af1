"""An author's campaigns from a notebook: list, get, wait, release."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from jobs.client import token as tokens
from jobs.client.errors import (
    GridAnswerUnfit,
    GridRefused,
    GridUnreachable,
    NothingReleased,
    WaitOver,
)
from jobs.client.exchange import Exchange
from jobs.client.release import Release
from trust.clock import Clock, SystemClock, from_text
from trust.errors import TrustError

RELEASED = "released"
ENDED = frozenset({RELEASED, "failed", "cancelled"})
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 30.0  # seconds between two looks
_PAGE = 200


@dataclass(frozen=True)
class Campaign:
    """A campaign as it stands; `why` is a sentence, "" when nothing holds it up."""

    campaign: str
    title: str
    bundle: str
    state: str
    why: str
    round: int
    rounds: int
    created_at: datetime
    updated_at: datetime

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.state in ENDED

    def __str__(self) -> str:
        why = f": {self.why}" if self.why else ""
        return f"{self.campaign} {self.state}, round {self.round} of {self.rounds}{why}"

    def _repr_html_(self) -> str:
        return _table([self])


class Listed(list[Campaign]):
    """Campaigns, the newest first, which a notebook shows as a table."""

    def _repr_html_(self) -> str:
        return _table(self)


class Campaigns:
    """The campaigns of the bundles that belong to the owner of an API token.

    `token_file` is a file that only you can read; without it the environment names one
    (CADASTRE_API_TOKEN_FILE) or holds the token (CADASTRE_API_TOKEN). `ca` is the PEM file of the
    authority behind the address's certificate, where the system does not know it. Raises
    ApiTokenUnusable, GridAddressRefused.
    """

    def __init__(
        self,
        address: str,
        *,
        token_file: Path | str | None = None,
        ca: Path | str | None = None,
        language: str = "en",
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._exchange = Exchange(address, tokens.find(token_file), ca=ca, language=language)
        self._clock = clock or SystemClock()
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"Campaigns({self._exchange.address!r})"

    def _repr_html_(self) -> str:
        return self.list(limit=25)._repr_html_()

    def list(self, *, state: str = "", bundle: str = "", limit: int = _PAGE) -> Listed:
        """At most `limit` campaigns, the newest first; `bundle` is a digest or its beginning.

        Raises GridRefused, GridUnreachable, GridAnswerUnfit.
        """
        found = Listed()
        cursor = ""
        while len(found) < limit:
            page = self._exchange.json(
                "runs", state=state, bundle=bundle, size=str(_PAGE), cursor=cursor
            )
            items, cursor = _page(page)
            found += [_campaign(item, why=item.get("reason")) for item in items]
            if not cursor:
                break
        del found[max(0, limit) :]
        return found

    def get(self, campaign: str) -> Campaign:
        """One campaign, by its id or the beginning of it. Raises GridRefused, GridUnreachable."""
        document = self._exchange.json("runs", campaign)
        run = document.get("run") if isinstance(document, dict) else None
        if not isinstance(run, dict):
            raise GridAnswerUnfit("the answer is no campaign")
        return _campaign(run, why=run.get("why"))

    def bundles(self) -> tuple[Mapping[str, Any], ...]:
        """Your bundles: where each stands, and what blocks it. Raises GridRefused."""
        items, cursor = _page(self._exchange.json("mine", size=str(_PAGE)))
        while cursor:
            more, cursor = _page(self._exchange.json("mine", size=str(_PAGE), cursor=cursor))
            items += more
        return tuple(items)

    def wait(
        self,
        campaign: str,
        *,
        seconds: float = 3600.0,
        progress: Callable[[Campaign], object] | None = None,
    ) -> Campaign:
        """The campaign once it is released; `progress` hears of every change.

        Raises NothingReleased when it ends otherwise, WaitOver after `seconds`, both with the
        reason why; GridRefused. That the grid does not answer for a while is waited out.
        """
        end = self._clock.boottime() + seconds
        seen: Campaign | None = None
        pause = _FIRST_PAUSE
        silence: GridUnreachable | GridRefused | None = None
        while True:
            try:
                now, silence = self.get(campaign), None
            except (GridUnreachable, GridRefused) as error:
                if not error.retryable:
                    raise
                now, silence = None, error
            if now is not None:
                if progress is not None and now != seen:
                    progress(now)
                pause = _FIRST_PAUSE if now != seen else min(pause * 1.5, _LONGEST_PAUSE)
                seen = now
                if now.state == RELEASED:
                    return now
                if now.ended:
                    raise NothingReleased(str(now))
            left = end - self._clock.boottime()
            if left <= 0:
                raise WaitOver(_why(campaign, seconds, seen, silence)) from silence
            self._sleep(min(pause, left))

    def release(self, campaign: str) -> Release:
        """The release of a campaign, by its id or the beginning of it.

        Raises GridRefused (`not-released` while there is none), GridUnreachable, GridAnswerUnfit.
        """
        return Release.of(self._exchange.json("releases", campaign), self._exchange)


def _why(campaign: str, seconds: float, seen: Campaign | None, silence: Exception | None) -> str:
    waited = f"after {seconds:.0f} s"
    if silence is not None:
        return f"{waited} the grid does not answer for {campaign[:80]}"
    return f"{waited} it is still going on: {seen}"


def _page(document: Any) -> tuple[list[dict[str, Any]], str]:
    items = document.get("items") if isinstance(document, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise GridAnswerUnfit("the answer is no list")
    return items, str(document.get("next") or "")


def _campaign(item: Mapping[str, Any], why: object) -> Campaign:
    try:
        values = {field.name: item.get(field.name) for field in fields(Campaign)}
        values |= {
            "why": why if isinstance(why, str) else "",
            "round": int(item["round"]),
            "rounds": int(item["rounds"]),
            "created_at": from_text(item["created_at"]),
            "updated_at": from_text(item["updated_at"]),
        }
        texts = ("campaign", "title", "bundle", "state")
        if not all(isinstance(values[name], str) for name in texts):
            raise GridAnswerUnfit("a campaign lacks its name or its state")
        return Campaign(**values)  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError, TrustError) as error:
        raise GridAnswerUnfit("a campaign lacks something that this client reads") from error


def _table(found: list[Campaign]) -> str:
    rows = "".join(
        f"<tr><th>{html.escape(one.title)}</th><td><code>{html.escape(one.campaign)}</code></td>"
        f"<td>{html.escape(one.state)}</td><td>{one.round} of {one.rounds}</td>"
        f"<td>{html.escape(one.why)}</td></tr>"
        for one in found
    )
    head = "".join(f"<th>{name}</th>" for name in ("title", "campaign", "state", "round", "why"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
