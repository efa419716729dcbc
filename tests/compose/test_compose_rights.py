"""What the compose file gives and asks, and that the notebooks notice every right that is too much."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from beefirst.evaluation.experiments import compose


def test_the_shipped_file_gives_nothing_that_is_not_needed() -> None:
    assert compose.excessive_rights() == []


@pytest.mark.parametrize(
    ("service", "change", "found"),
    [
        ("api", {"privileged": True}, "api: privileged"),
        ("api", {"cap_add": ["SYS_ADMIN"]}, "api: SYS_ADMIN"),
        ("db", {"cap_add": ["CHOWN", "NET_ADMIN"]}, "db: NET_ADMIN"),
        ("api", {"cap_drop": ["NET_RAW"]}, "api: capabilities by default"),
        ("notebook", {"user": "root"}, "notebook: the user root"),
        ("notebook", {"user": "0:0"}, "notebook: the user root"),
        ("notebook", {"volumes": ["/var/run/docker.sock:/var/run/docker.sock"]}, "notebook: Docker's socket"),
        ("db", {"pid": "host"}, "db: the host's pid"),
        ("api", {"network_mode": "host"}, "api: the host's network_mode"),
        ("api", {"read_only": False}, "api: a writable root"),
        ("api", {"security_opt": []}, "api: new privileges"),
        ("api", {"devices": ["/dev/mem"]}, "api: the device /dev/mem"),
    ],
)
def test_a_right_that_is_too_much_is_named(tmp_path: Path, service: str, change: dict[str, Any], found: str) -> None:
    content = yaml.safe_load(compose.FILE.read_text())
    content["services"][service].update(change)
    (tmp_path / "docker-compose.yml").write_text(yaml.safe_dump(content))

    assert compose.excessive_rights(tmp_path / "docker-compose.yml") == [found]


def test_the_ports_are_those_that_the_specification_names() -> None:
    assert compose.published_ports() == {"db": 5432, "api": 8000, "notebook": 8888}


def test_no_docker_waits_longer_than_a_second_before_it_probes_the_database() -> None:
    probe = yaml.safe_load(compose.FILE.read_text())["services"]["db"]["healthcheck"]

    assert float(probe["interval"].removesuffix("ms")) < 1000
    assert "start_period" not in probe  # since version 25, Docker probes every 5 seconds in it
