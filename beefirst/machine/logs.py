"""What the service writes to standard output: one line an event, as text or as JSON.

The events are claimed, activated, expired, locked, refused and limited, each with its request's id and no e-mail
address. Successful probes leave none.
"""

import logging
import logging.config
from contextvars import ContextVar

QUIET_PATHS = ("/health", "/metrics")

EVENT_FIELDS = ("registration", "reason", "request")
"""What an event may carry beside its name; never an address, a password, a hash or a code."""

request_id: ContextVar[str] = ContextVar("request_id")
"""The request that is being served, also while its mail is in flight."""


class _RequestId(logging.Filter):
    """Adds the id of the request to every record that is written on its behalf."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        if number := request_id.get(None):
            record.request = number
        return True


class _QuietProbes(logging.Filter):
    """Drops the access lines of probes that were answered well; they would bury everything else."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record, one of uvicorn's access lines, is worth a line."""
        if not isinstance(record.args, tuple) or len(record.args) != 5:
            return True
        path, status = str(record.args[2]), record.args[4]
        return not (path.startswith(QUIET_PATHS) and status == 200)


def configure_logging(level: str, style: str) -> None:
    """Set up logging for this process.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
        style: `text`, or `json` for one JSON object a line.
    """
    # psycopg writes a line for each connection that is lent and returned at INFO: that is for DEBUG.
    chatter = level if level in ("DEBUG", "ERROR") else "WARNING"
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"quiet_probes": {"()": _QuietProbes}, "request_id": {"()": _RequestId}},
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
                "uvicorn.access": {"level": level, "filters": ["quiet_probes"]},
            },
        }
    )


class _OneLine(logging.Formatter):
    """psycopg passes on libpq's messages, which have hints on lines of their own."""

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
