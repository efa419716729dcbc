"""A testbed for experiments: a database, a mail server, and any number of replicas of the API that use them."""

import time
from contextlib import ExitStack, closing
from types import TracebackType
from typing import Any, Self

import httpx
import pandas as pd
from psycopg import Connection

from beefirst.errors import ProcessError
from beefirst.laboratory.api_process import ApiProcess
from beefirst.laboratory.catalog import query
from beefirst.laboratory.cleanup import close_with
from beefirst.laboratory.clock import let_pass
from beefirst.laboratory.mailbox import Mailbox
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.settings import Settings

PASSWORD = "correct horse"  # noqa: S105
"""What the person of most experiments chose."""

DEFAULTS = {name: field.default for name, field in Settings.model_fields.items()}

ROWS = """
    SELECT email, state, attempt_count AS attempts,
           CASE WHEN password_hash IS NULL THEN 'none' ELSE 'bcrypt, cost ' || substr(password_hash, 5, 2) END
               AS "password hash",
           to_char(created_at, 'HH24:MI:SS.MS') AS "claimed at",
           coalesce(to_char(activated_at, 'HH24:MI:SS.MS'), '') AS "activated at"
      FROM registrations
     WHERE email LIKE %(email)s
     ORDER BY created_at
"""


TIME_LEFT = """
    SELECT extract(epoch FROM created_at - clock_timestamp())::float8 + %(ttl_seconds)s
      FROM registrations
     WHERE email = %(email)s AND state = 'CLAIMED'
"""

IN_TIME_SECONDS = 2
"""Less than this of a claim's life is too little for the next step."""


class Testbed:
    """A database, a mail server and replicas of the API, gone with the `with` block, or when nothing refers to it.

    Args:
        replicas: how many API processes share the database and the mail server.
        settings: of every replica, by the name that the environment uses; `code` as for `ApiProcess`.

    Attributes:
        ttl_seconds: how long a claim lives.
        max_attempts: how many guesses a claim allows.
        mailbox: where all mail arrives.
        apis: the replicas.
    """

    def __init__(self, replicas: int = 1, **settings: Any) -> None:
        with ExitStack() as made:
            self.database = made.enter_context(ScratchDatabase())
            self.mailbox = made.enter_context(Mailbox())
            settings = {"mail_url": self.mailbox.url, **settings}
            self.ttl_seconds = int(settings.get("ttl_seconds", DEFAULTS["ttl_seconds"]))
            self.max_attempts = int(settings.get("max_attempts", DEFAULTS["max_attempts"]))
            self.apis = [made.enter_context(ApiProcess(self.database.url, **settings)) for _ in range(replicas)]
            for api in self.apis:
                api.wait_until_ready()
            self._connection = made.enter_context(closing(self.database.connect()))
            self._close = close_with(self, made.pop_all().close)

    @property
    def urls(self) -> str:
        """The address of every replica, separated by spaces."""
        return " ".join(api.url for api in self.apis)

    def register(self, email: str, password: str = PASSWORD, replica: int = 0) -> httpx.Response:
        """Return the answer to a registration."""
        return self._post(replica, "/v1/register", json={"email": email, "password": password})

    def claim(self, email: str, password: str = PASSWORD, replica: int = 0) -> str:
        """Register an address, wait for the mail and return its code.

        Raises:
            MailError: no code came.
        """
        codes = self._codes(email)
        self.register(email, password, replica)
        return self.mailbox.code_for(email, codes + 1)

    def claim_when_free(self, email: str, password: str = PASSWORD, seconds: float = 30) -> str:
        """Register an address again and again until it is free, and return the code that was mailed then.

        Raises:
            MailError: it was not free within `seconds`.
        """
        codes = self._codes(email)
        deadline = time.monotonic() + seconds
        while self._codes(email) == codes and time.monotonic() < deadline:
            self.register(email, password)
            time.sleep(0.2)
        return self.mailbox.code_for(email, codes + 1, 1)

    def code_in_time(self, email: str, code: str, password: str = PASSWORD) -> str:
        """Return the code of a claim; where a slow reader has let that run out, say so, claim anew, return the new one.

        Args:
            email: normalised.
            code: of the claim before.
            password: of the new claim.
        """
        (remaining,) = self.execute(TIME_LEFT, email=email, ttl_seconds=self.ttl_seconds) or [(0,)]
        if remaining[0] > IN_TIME_SECONDS:
            return code
        print(f"More than {self.ttl_seconds} seconds have passed since {email} was claimed: it is claimed anew.")
        return self.claim_when_free(email, password)

    def _codes(self, email: str) -> int:
        return sum("code" in str(mail["Subject"]) for mail in self.mailbox.wait_for(email, 0))

    def running(self) -> pd.DataFrame:
        """Return what runs where: the columns what, where."""
        replicas = [
            (f"API, replica {number}", api.url.removeprefix("http://")) for number, api in enumerate(self.apis, start=1)
        ]
        rows = [*replicas, ("mail server", self.mailbox.url), ("database", self.database.name)]
        return pd.DataFrame(rows, columns=["what", "where"])

    def activate(self, email: str, password: str, code: str, replica: int = 0) -> httpx.Response:
        """Return the answer to an attempt to activate."""
        credentials = httpx.BasicAuth(email.encode(), password.encode())
        return self._post(replica, "/v1/activate", json={"code": code}, auth=credentials)

    def _post(self, replica: int, path: str, **content: Any) -> httpx.Response:
        self._require_open()
        return httpx.post(self.apis[replica].url + path, timeout=60, trust_env=False, **content)

    def lock(self, email: str, password: str, code: str) -> list[int]:
        """Guess wrong until no attempt is left, at all replicas in turns; return the statuses of the answers."""
        replicas = len(self.apis)
        return [
            self.activate(email, password, wrong(code), replica=guess % replicas).status_code
            for guess in range(self.max_attempts)
        ]

    def rows(self, email: str = "%") -> pd.DataFrame:
        """Return the rows of registrations without their secrets.

        Args:
            email: the normalised address, or a pattern of LIKE.
        """
        return query(self._open_connection, ROWS, email=email)

    def state(self, email: str) -> str:
        """Return the state of one registration; `none` where there is no row."""
        states = self.rows(email)["state"]
        return str(states.iloc[0]) if len(states) else "none"

    def _require_open(self) -> None:
        if self._connection.closed:
            raise ProcessError("This testbed is closed: run the cell that set it up again, and go on from there.")

    @property
    def _open_connection(self) -> Connection[Any]:
        self._require_open()
        return self._connection

    def execute(self, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
        """Run one statement of SQL on the database, past the API, and return its rows."""
        cursor = self._open_connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []

    def let_pass(self, email: str, seconds: float) -> None:
        """Let time pass for one address, by moving all that the database remembers of it into the past."""
        let_pass(self._open_connection, seconds, email)

    def close(self) -> None:
        """End the replicas, the mail server and the database; doing so again does nothing."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def wrong(code: str) -> str:
    """Return four digits that are another code."""
    return f"{(int(code) + 1) % 10_000:04}"
