"""What the service writes to standard output: one line an event, as text or as JSON.

The events are claimed, activated, expired, locked, refused and limited, each with its request's id and no e-mail
address. Successful probes leave none, nor does what was shed.
"""

import logging
import logging.config
from contextvars import ContextVar
from time import monotonic

QUIET_PATHS = ("/health", "/metrics")

EVENT_FIELDS = ("registration", "reason", "request")
"""What an event may carry beside its name; never an address, a password, a hash or a code."""

request_id: ContextVar[str] = ContextVar("request_id")
"""The request that is being served, also while its mail is in flight."""

unlogged: ContextVar[bool] = ContextVar("unlogged", default=False)
"""Whether the request that is being served is one of very many, and has no access line."""

SPARSE_SECONDS = 10.0


class SparseWarning:
    """A line for what may happen a thousand times a second: at most one in SPARSE_SECONDS, with how often it did.

    Args:
        log: where it is written.
        message: with a place for the number since the last line.
    """

    def __init__(self, log: logging.Logger, message: str) -> None:
        self._log = log
        self._message = message
        self._count = 0
        self._next = 0.0

    def note(self, times: int = 1) -> None:
        """Take note that it happened."""
        self._count += times
        if monotonic() >= self._next:
            self._log.warning(self._message, self._count)
            self._count, self._next = 0, monotonic() + SPARSE_SECONDS


class _RequestId(logging.Filter):
    """Adds the id of the request to every record that is written on its behalf."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        if number := request_id.get(None):
            record.request = number
        return True


class _AccessLines(logging.Filter):
    """Drops the access lines that would bury all others: of probes that were answered well, and of what was shed.

    Of the rest it drops the query: nothing here reads one, and whoever sends a password in it is not to find it logged.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record, one of uvicorn's access lines, is worth a line."""
        if not isinstance(record.args, tuple) or len(record.args) != 5:
            return True
        if unlogged.get():
            return False
        path, status = str(record.args[2]).partition("?")[0], record.args[4]
        record.args = (*record.args[:2], path, *record.args[3:])
        return not (path.startswith(QUIET_PATHS) and status == 200)


def configure_logging(level: str, style: str) -> None:
    """Set up logging for this process.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
        style: `text`, or `json` for one JSON object a line.
    """
    # No line tells where in the code it was written, or by which thread; looking that up costs more than the line.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # psycopg writes a line for each connection that is lent and returned at INFO: that is for DEBUG.
    chatter = level if level in ("DEBUG", "ERROR") else "WARNING"
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"access_lines": {"()": _AccessLines}, "request_id": {"()": _RequestId}},
            "formatters": {"text": _TEXT, "json": _JSON},
            "handlers": {
                "stdout": {
                    "class": "logging.StreamHandler",
                    "stream": "ext://sys.stdout",
                    "formatter": style,
                    "filters": ["request_id"],
                }
            },
            "root": {"level": level, "handlers": ["stdout"]},
            "loggers": {
                "psycopg": {"level": chatter},
                "beefirst.mail.console": {"level": "INFO"},  # the demo's mail must arrive at any LOG_LEVEL
                "uvicorn": {"level": "WARNING" if level == "INFO" else level},
                "uvicorn.access": {"level": level, "filters": ["access_lines"]},
            },
        }
    )


class _OneLine(logging.Formatter):
    """psycopg passes on libpq's messages, which have hints on lines of their own."""

    _second, _time = 0, ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        if (second := int(record.created)) != self._second:
            self._second, self._time = second, super().formatTime(record, datefmt)[:-3]
        return f"{self._time}{int(record.msecs):03}"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        fields = [f'{name}="{getattr(record, name)}"' for name in EVENT_FIELDS if hasattr(record, name)]
        return " ".join([*super().formatMessage(record).split("\n"), *fields])


_TEXT = {"()": _OneLine, "fmt": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"}
_JSON = {
    "()": "pythonjsonlogger.json.JsonFormatter",
    "format": "%(levelname)s %(name)s %(message)s",
    "rename_fields": {"levelname": "level", "name": "logger"},
    "timestamp": True,
}
