"""The figures of the service in a real Prometheus, and the Grafana dashboard that shows them."""

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client.parser import text_string_to_metric_families

from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.raw_http import registering
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import CHECKOUT
from beefirst.machine.waiting import wait_until
from tests.conftest import SECRET
from tests.support.http_client import register, send
from tests.support.prometheus import Prometheus, needs_prometheus

DASHBOARD: dict[str, Any] = json.loads((CHECKOUT / "beefirst/api/grafana_dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = {
    f"{panel['title']}, {target['refId']}": target["expr"] for panel in PANELS for target in panel["targets"]
}

each_expression = pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)

BY_PROMETHEUS = {"job", "instance", "le"}
"""Labels that /metrics does not give each sample: Prometheus adds the first two, and the last belongs to buckets."""

WORDS = {"by", "or"}

SELECTOR = re.compile(r"(\w+)\{([^}]*)\}")
MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"[^\"]*\"")


def used(expression: str) -> dict[str, set[str]]:
    """Return the metrics that an expression names, each with all labels that the expression names.

    Raises:
        ValueError: it names something that is read here as neither; it is to be written as the others are.
    """
    grouped = {label for labels in re.findall(r"\bby\s*\(([^)]*)\)", expression) for label in re.split(r"\W+", labels)}
    selectors = {name: set(MATCHER.findall(matchers)) for name, matchers in SELECTOR.findall(expression)}
    rest = re.sub(r"\[[^]]*\]", "", SELECTOR.sub("", re.sub(r"\bby\s*\([^)]*\)", "", expression)))
    if strangers := set(re.findall(r"\b[a-zA-Z_]\w*\b(?!\s*\()", rest)) - WORDS:
        raise ValueError(f"{', '.join(strangers)} in {expression}")
    return {name: (labels | grouped) - {""} for name, labels in selectors.items()}


@pytest.fixture(scope="module")
def api() -> Iterator[ApiProcess]:
    """A replica that has served, refused, shed and limited requests, and swept."""
    with (
        ScratchDatabase() as database,
        start_api(database.url, BCRYPT_COST=12, CLIENT_LIMIT=30, SWEEP_INTERVAL_SECONDS=0.2) as running,
    ):
        register(running, "served@example.com")
        ask_for_too_much(running)
        while send(running, "/v1/activate", json={}).status_code != 429:
            pass
        wait_until(lambda: "beefirst_sweeps_total{" in running.get("/metrics").text)
        yield running


def ask_for_too_much(api: ApiProcess) -> None:
    """Ask for hashes until one is shed, and hang up, so that those which wait are not made."""
    with ExitStack() as clients:
        for number in range(40):
            line = clients.enter_context(socket.create_connection(("127.0.0.1", int(api.url.rpartition(":")[2]))))
            line.sendall(registering(f"{number}@example.com", SECRET))
        wait_until(lambda: "beefirst_shed_requests_total{" in api.get("/metrics").text)


@pytest.fixture(scope="module")
def exported(api: ApiProcess) -> dict[str, set[str]]:
    """The samples of /metrics by name, each with its labels."""
    families = text_string_to_metric_families(api.get("/metrics").text)
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


@pytest.fixture(scope="module")
def prometheus(api: ApiProcess) -> Iterator[Prometheus]:
    with Prometheus(api.url.removeprefix("http://")) as running:
        wait_until(lambda: running.query("rate(process_cpu_seconds_total[30s])"))
        yield running


def as_grafana_asks(expression: str) -> str:
    """Return an expression with Grafana's variables filled in."""
    return expression.replace("$__rate_interval", "30s").replace("$job", ".+").replace("$instance", ".+")


@each_expression
def test_a_panel_asks_for_what_the_service_exports(expression: str, exported: dict[str, set[str]]) -> None:
    unknown = {
        name: labels - exported.get(name, set()) - BY_PROMETHEUS
        for name, labels in used(expression).items()
        if name not in exported or labels - exported[name] - BY_PROMETHEUS
    }

    assert unknown == {}
    assert used(expression)


def test_a_panel_shows_each_figure_of_the_service(exported: dict[str, set[str]]) -> None:
    shown = {name for expression in EXPRESSIONS.values() for name in used(expression)}
    families = {name.removesuffix("_bucket") for name in shown}
    own = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported if name.startswith("beefirst_")}

    assert own - families - shown == set()


@needs_prometheus
@each_expression
def test_prometheus_answers_what_a_panel_asks(expression: str, prometheus: Prometheus) -> None:
    wait_until(lambda: prometheus.query(as_grafana_asks(expression)))


@needs_prometheus
def test_the_variables_of_the_dashboard_find_the_replica(prometheus: Prometheus) -> None:
    queries = [each["query"]["query"] for each in DASHBOARD["templating"]["list"] if each["type"] == "query"]
    asked = [re.fullmatch(r"label_values\((\w+)(\{.*\})?, (\w+)\)", query) for query in queries]
    found = [
        prometheus.query(as_grafana_asks(each[1] + (each[2] or "")))[0]["metric"][each[3]] for each in asked if each
    ]

    assert len(found) == len(queries) == 2
    assert found[0] == "beefirst"


@needs_prometheus
def test_an_expression_that_is_none_is_refused(prometheus: Prometheus) -> None:
    with pytest.raises(ValueError, match="parse error"):
        prometheus.query("sum(rate(beefirst_sweeps_total[30s])")


@needs_prometheus
def test_promtool_finds_nothing_to_say_of_the_figures(api: ApiProcess) -> None:
    figures = api.get("/metrics").text
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=figures, capture_output=True, text=True, timeout=60, check=False
    )

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def lost(given: Any, kept: Any, place: str = "") -> list[str]:
    """Return the places of what is given and not kept."""
    if isinstance(given, dict) and isinstance(kept, dict):
        inner = [lost(value, kept.get(name), f"{place}.{name}") for name, value in given.items()]
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        inner = [
            lost(one, other, f"{place}[{number}]") for number, (one, other) in enumerate(zip(given, kept, strict=True))
        ]
    else:
        return [] if given == kept else [place]
    return [each for found in inner for each in found]


def as_grafana_keeps(dashboard: dict[str, Any]) -> Any:
    """Return what is left of a dashboard when it was read by Grafana's own types."""
    register_default_plugins()
    return json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(dashboard)))


def test_the_dashboard_is_one_by_grafanas_own_types() -> None:
    assert lost(DASHBOARD, as_grafana_keeps(DASHBOARD)) == []


def test_a_word_that_grafana_does_not_know_is_noticed() -> None:
    panels = [{**PANELS[4], "fieldConfig": {"defaults": {"unti": "s"}, "overrides": []}, "tragets": []}]
    altered = {**DASHBOARD, "panels": panels}

    assert lost(altered, as_grafana_keeps(altered)) == [".panels[0].fieldConfig.defaults.unti", ".panels[0].tragets"]


def test_panels_stand_beside_each_other_and_have_numbers_of_their_own() -> None:
    places = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]

    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
