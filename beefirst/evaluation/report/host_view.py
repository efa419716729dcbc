"""What the host of a container sees of it, and the notebooks in it cannot."""

from pydantic import BaseModel, ConfigDict

from beefirst.evaluation.records import Record


class HostRun(BaseModel):
    """A notebook that the host has run itself, for a container lacks what it takes.

    Attributes:
        record: what it found.
        seconds: from the start of its kernel to the end of it.
        executed: the notebook with its outputs, as a file holds it.
    """

    model_config = ConfigDict(frozen=True)

    record: Record
    seconds: float
    executed: str


class HostView(BaseModel):
    """What a host tells the report that is made in a container of its.

    Attributes:
        seconds_from_command: from `docker compose up` to the API ready, by the host's clock.
        provenance: what the report was made on; it goes before what the container knows by the same name.
        runs: by the notebook's name.
    """

    model_config = ConfigDict(frozen=True)

    seconds_from_command: float
    provenance: dict[str, str]
    runs: dict[str, HostRun] = {}
