"""The service on a PostgreSQL of its own, which may be harmed: the server for experiments is everybody's."""

from typing import Any

import pandas as pd

from beefirst.errors import EmbeddedServerError
from beefirst.laboratory.cleanup import Owned
from beefirst.laboratory.own_server import OwnServer
from beefirst.laboratory.testbed import Testbed

TTL_SECONDS = 600
"""A claim outlives whatever dies: what is refused is not refused for its age."""


class Stand(Owned):
    """A server and replicas on it, where there is an embedded PostgreSQL; gone with its `with` block.

    Args:
        replicas: how many.
        settings: of the replicas; see `Testbed`.

    Attributes:
        missing: why there is none, for the judge; empty where there is.
    """

    def __init__(self, replicas: int = 2, **settings: Any) -> None:
        self.missing = dict[str, Any]()
        with self._making() as parts:
            try:
                self.server = parts.enter_context(OwnServer())
            except EmbeddedServerError as error:
                self.missing = {"missing": str(error)}
                return
            settings = {"ttl_seconds": TTL_SECONDS, **settings}
            self.testbed = parts.enter_context(Testbed(replicas, self.server.url, **settings))

    def running(self) -> pd.DataFrame:
        """Return what runs where: the columns what, where; where there is no server of its own, why."""
        if self.missing:
            return pd.DataFrame([("PostgreSQL of its own", self.missing["missing"])], columns=["what", "where"])
        own = pd.DataFrame([("PostgreSQL of its own", f"port {self.server.port}")], columns=["what", "where"])
        return pd.concat([own, self.testbed.running()])
