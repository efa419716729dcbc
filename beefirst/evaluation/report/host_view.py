"""What the host of a container sees of it, and the notebooks in it cannot."""

from pydantic import BaseModel, ConfigDict


class HostView(BaseModel):
    """What a host tells the report that is made in a container of its.

    Attributes:
        seconds_from_command: from `docker compose up` to the API ready, by the host's clock.
        provenance: what the report was made on; it goes before what the container knows by the same name.
    """

    model_config = ConfigDict(frozen=True)

    seconds_from_command: float
    provenance: dict[str, str]
