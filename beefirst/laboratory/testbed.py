"""A testbed for experiments: a database, a mail server, and any number of replicas of the API that use them."""

import signal
from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import chain, islice, repeat
from typing import Any

import httpx
import pandas as pd
from psycopg import Connection

from beefirst.errors import ProcessError
from beefirst.laboratory.api_process import ApiProcess
from beefirst.laboratory.catalog import query
from beefirst.laboratory.cleanup import Owned
from beefirst.laboratory.clock import let_pass
from beefirst.laboratory.mailbox import Mailbox
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.waiting import wait_for
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

STORED_CODE = "SELECT verification_code FROM registrations WHERE email = %(email)s"

NO_ROW = {"state": "none", "attempts": 0, "password hash": "none", "claimed at": "", "activated at": ""}
"""What is seen of an address that has none."""

TIME_LEFT = """
    SELECT extract(epoch FROM created_at - clock_timestamp())::float8 + %(ttl_seconds)s
      FROM registrations
     WHERE email = %(email)s AND state = 'CLAIMED'
"""

ASKED_EVERY_SECONDS = 0.2
"""How often somebody asks for an address that is not free."""

NO_KEEPING = httpx.Limits(max_keepalive_connections=0)
"""Every request has a connection of its own, as if each came from somebody else."""

IN_TIME_SECONDS = 2
"""Less than this of a claim's life is too little for the next step."""


class Testbed(Owned):
    """A database, a mail server and replicas of the API, gone with the `with` block, or when nothing refers to it.

    Args:
        replicas: how many API processes share the database and the mail server.
        server: the URL of the PostgreSQL on which the database is made; the one for experiments where left out.
        differing: the settings in which single replicas differ, replica by replica from the first on.
        settings: of every replica, by the name that the environment uses; `code` as for `ApiProcess`.

    Attributes:
        ttl_seconds: how long a claim lives.
        max_attempts: how many guesses a claim allows.
        database: of the replicas.
        apis: the replicas.
    """

    def __init__(
        self,
        replicas: int = 1,
        server: str | None = None,
        *,
        differing: Sequence[Mapping[str, Any]] = (),
        **settings: Any,
    ) -> None:
        self.ttl_seconds = int(settings.get("ttl_seconds", DEFAULTS["ttl_seconds"]))
        self.max_attempts = int(settings.get("max_attempts", DEFAULTS["max_attempts"]))
        with self._making() as parts:
            self.database = parts.enter_context(ScratchDatabase(server))
            self._mailbox = parts.enter_context(Mailbox())
            self._settings = {"mail_url": self._mailbox.url, **settings}
            of_each = islice(chain(differing, repeat({})), replicas)
            self.apis = [parts.enter_context(self._start(**its)) for its in of_each]
            for api in self.apis:
                api.wait_until_ready()
            parts.callback(_ask_to_end, tuple(self.apis))
            self._client = parts.enter_context(httpx.Client(timeout=60, trust_env=False, limits=NO_KEEPING))
            self._connection = parts.enter_context(closing(self.database.connect()))

    def _start(self, **settings: Any) -> ApiProcess:
        return ApiProcess(self.database.url, **{**self._settings, **settings})

    def another_replica(self, **settings: Any) -> ApiProcess:
        """Start one more replica, for a `with` block, which no method here asks, and return it once it is ready.

        Args:
            settings: in which it differs from the others.
        """
        return self._start(**settings).wait_until_ready()

    @property
    def mailbox(self) -> Mailbox:
        """Where all mail arrives."""
        self._require_open()
        return self._mailbox

    @property
    def urls(self) -> str:
        """The address of every replica, separated by spaces."""
        self._require_open()
        return " ".join(api.url for api in self.apis)

    def register(self, email: str, password: str = PASSWORD, replica: int = 0) -> httpx.Response:
        """Return the answer to a registration."""
        return self._post(replica, "/v1/register", json={"email": email, "password": password})

    def claim(self, email: str, password: str = PASSWORD, replica: int = 0) -> str:
        """Register an address, wait for the mail and return its code.

        Raises:
            MailError: no code came.
        """
        codes = self.codes_mailed(email)
        self.register(email, password, replica)
        return self.mailbox.code_for(email, codes + 1)

    def claim_when_free(self, email: str, password: str = PASSWORD, seconds: float = 30) -> str:
        """Register an address again and again until it is free, and return the code that was mailed then.

        Raises:
            MailError: it was not free within `seconds`.
        """
        codes = self.codes_mailed(email)

        def is_claimed() -> bool:
            if self.codes_mailed(email) == codes:
                self.register(email, password)
            return self.codes_mailed(email) > codes

        wait_for(is_claimed, seconds, ASKED_EVERY_SECONDS)
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

    def stored_code(self, email: str) -> str:
        """Return the code of a registration as the table holds it; empty where there is no row."""
        rows = self.execute(STORED_CODE, email=email)
        return str(rows[0][0]) if rows else ""

    def codes_mailed(self, email: str) -> int:
        """Return how many codes have been mailed to an address so far."""
        return sum("code" in str(mail["Subject"]) for mail in self.mailbox.wait_for(email, 0))

    def running(self) -> pd.DataFrame:
        """Return what runs where: the columns what, where."""
        replicas = [
            (f"API, replica {number}", api.url.removeprefix("http://")) for number, api in enumerate(self.apis, start=1)
        ]
        rows = [*replicas, ("mail server", self._settings["mail_url"]), ("database", self.database.name)]
        return pd.DataFrame(rows, columns=["what", "where"])

    def activate(self, email: str, password: str, code: str, replica: int = 0) -> httpx.Response:
        """Return the answer to an attempt to activate."""
        credentials = httpx.BasicAuth(email.encode(), password.encode())
        return self._post(replica, "/v1/activate", json={"code": code}, auth=credentials)

    def _post(self, replica: int, path: str, **content: Any) -> httpx.Response:
        self._require_open()
        return self._client.post(self.apis[replica].url + path, **content)

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

    def row(self, email: str) -> pd.Series:
        """Return the row of one registration without its secrets, or NO_ROW; arguments and columns as for `rows`."""
        rows = self.rows(email)
        return pd.Series({"email": email} | NO_ROW) if rows.empty else rows.iloc[0]

    def state(self, email: str) -> str:
        """Return the state of one registration; `none` where there is no row."""
        return str(self.row(email)["state"])

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


def _ask_to_end(apis: Sequence[ApiProcess]) -> None:
    """Let the processes end beside each other: whoever waits for one has not to begin with the next."""
    for api in apis:
        api.send_signal(signal.SIGTERM)


def wrong(code: str) -> str:
    """Return four digits that are another code."""
    return f"{(int(code) + 1) % 10_000:04}"
