"""Structured logs: one JSON object a line on standard error, without personal data.

Only fields that a call site names with `extra` appear, next to time, level, logger and message.
"""

from __future__ import annotations

import json
import logging
import sys

from trust.clock import Clock, to_text

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonLines(logging.Formatter):
    """The formatter; its moments come from the injected clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "at": to_text(self._clock.now()),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD:
                fields[name] = str(value)[:300]
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def set_up(clock: Clock) -> None:
    """Send every `cadastre` logger to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(clock))
    logger = logging.getLogger("cadastre")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
