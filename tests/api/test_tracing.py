"""Traces by OpenTelemetry's own variables: what is in them, what is not, and that nobody waits for them."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pandas as pd
import pytest

from beefirst.api.tracing import create_tracing
from beefirst.errors import ConfigurationError
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.environment import clean_environment
from beefirst.laboratory.mailbox import Mailbox
from beefirst.laboratory.raw_http import converse
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.laboratory.secret_search import find_secrets
from beefirst.laboratory.trace_collector import TraceCollector
from beefirst.machine.ports import free_port
from beefirst.machine.waiting import wait_until
from tests.conftest import SECRET
from tests.support.clock_minute import wait_for_room_in_the_minute
from tests.support.http_client import activate, fetch_row, register, send, wrong
from tests.support.mail_servers import refusing

TOKEN = "token-of-the-collector"
AWAY, BACK = "traces do not reach", "again; "
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

Start = Callable[..., ApiProcess]
SpansOf = Callable[..., pd.DataFrame]


@pytest.fixture
def collector() -> Iterator[TraceCollector]:
    with TraceCollector() as running:
        yield running


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as running:
        yield running


@pytest.fixture
def start(shared_database: ScratchDatabase, mailbox: Mailbox, collector: TraceCollector) -> Iterator[Start]:
    """Start an API that sends its traces to the collector soon, and fails for good after a second."""
    started = list[ApiProcess]()

    def start_traced(**settings: Any) -> ApiProcess:
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": 50}
        own = {"OTEL_EXPORTER_OTLP_TIMEOUT": 1, "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{TOKEN}"}
        started.append(start_api(shared_database.url, **{"MAIL_URL": mailbox.url, **traced, **own, **settings}))
        return started[-1]

    yield start_traced
    for api in started:
        api.stop()


@pytest.fixture(scope="module")
def traced(shared_database: ScratchDatabase, mailbox: Mailbox) -> Iterator[tuple[ApiProcess, TraceCollector]]:
    """An API that sends its traces soon, and their collector."""
    with TraceCollector() as collector:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": 50}
        with start_api(shared_database.url, MAIL_URL=mailbox.url, **settings) as api:
            yield api, collector


@pytest.fixture
def api(traced: tuple[ApiProcess, TraceCollector]) -> ApiProcess:
    """The API of `traced`; a test waits for all of its spans."""
    return traced[0]


@pytest.fixture
def spans_of(traced: tuple[ApiProcess, TraceCollector]) -> SpansOf:
    """Return the spans of the test that asks for it, once those of these names are there."""
    traced[1].forget()
    return traced[1].wait_for_names


def told(spans: pd.DataFrame) -> list[tuple[str, str, str]]:
    names = dict(zip(spans["id"], spans["span"], strict=True))
    return [(row.span, names.get(row.parent, ""), row.kind) for row in spans.itertuples()]


def test_a_registration_is_one_trace_and_an_activation_another(
    api: ApiProcess, spans_of: SpansOf, mailbox: Mailbox
) -> None:
    register(api, "one@example.com")
    activate(api, "one@example.com", mailbox.code_for("one@example.com"))
    spans = spans_of("mail", "POST /v1/register", "POST /v1/activate")
    first, second = (spans[spans["trace"] == trace] for trace in dict.fromkeys(spans["trace"]))

    assert told(first) == [
        ("POST /v1/register", "", "server"),
        ("bcrypt queue", "POST /v1/register", "internal"),
        ("bcrypt hash", "POST /v1/register", "internal"),
        ("even out", "POST /v1/register", "internal"),
        ("CLAIM_ADDRESS", "even out", "client"),
        ("mail", "POST /v1/register", "internal"),
    ]
    assert told(second) == [
        ("POST /v1/activate", "", "server"),
        ("FIND_CLAIM", "POST /v1/activate", "client"),
        ("bcrypt queue", "POST /v1/activate", "internal"),
        ("bcrypt hash", "POST /v1/activate", "internal"),
        ("even out", "POST /v1/activate", "internal"),
        ("JUDGE_CODE", "even out", "client"),
    ]
    assert not spans["failed"].any()


def test_spans_have_the_names_of_the_semantic_conventions_and_the_id_that_the_log_has(
    api: ApiProcess, spans_of: SpansOf
) -> None:
    answer = register(api, "names@example.com")
    spans = spans_of("POST /v1/register", "mail").set_index("span")

    assert spans.loc["POST /v1/register", "attributes"] == (
        "http.request.method=POST, url.scheme=http, http.response.status_code=202, "
        f"beefirst.request={answer.headers['X-Request-ID']}, http.route=/v1/register"
    )
    assert spans.loc["CLAIM_ADDRESS", "attributes"] == "db.system.name=postgresql, db.operation.name=CLAIM_ADDRESS"


def test_a_notice_to_an_owner_is_traced_with_its_statements(
    api: ApiProcess, spans_of: SpansOf, mailbox: Mailbox
) -> None:
    register(api, "notice@example.com")
    mailbox.wait_for("notice@example.com")
    register(api, "notice@example.com")
    spans = spans_of("mail", "mail")

    assert told(spans)[-3:] == [
        ("mail", "POST /v1/register", "internal"),
        ("FIND_HOLDER", "mail", "client"),
        ("BOOK_NOTICE", "mail", "client"),
    ]


def test_a_mail_that_fails_is_told_by_its_kind_alone(start: Start, collector: TraceCollector) -> None:
    with refusing("550 nobody of this name") as server:
        register(start(MAIL_URL=server.url), "lost@example.com")
        spans = collector.wait_for_names("mail")

    assert told(spans)[-3:] == [
        ("mail", "POST /v1/register", "internal"),
        ("RELEASE_CLAIM", "mail", "client"),
        ("REFUND_MAIL", "mail", "client"),
    ]
    assert spans.set_index("span").loc["mail", "attributes"] == "error.type=MailError"
    assert list(spans[spans["failed"]]["span"]) == ["mail"]


def test_what_is_exported_holds_no_secret(
    start: Start, collector: TraceCollector, mailbox: Mailbox, shared_database: ScratchDatabase
) -> None:
    email, other, path_word = "secret@example.com", "other-horse-battery", "word-in-a-path"
    api = start()
    register(api, email)
    code = mailbox.code_for(email)
    row = fetch_row(shared_database, email)
    activate(api, email, wrong(code))
    activate(api, email, code, other)
    activate(api, email, code)
    register(api, email)
    send(api, "/v1/register", json={"email": f"{email} {code}", "password": other})
    send(api, f"/{path_word}/{other}?password={other}", headers={"User-Agent": other, "Cookie": other})
    send(api, f"/{other}", "PROPFIND", headers={"traceparent": other, "tracestate": other, "baggage": other})
    api.stop()
    texts = collector.texts()
    secrets = {
        "passwords": [SECRET, other, f"{email}:{SECRET}"],
        "addresses": [email, "secret@"],
        "hashes": [str(row.password_hash)],
        "tokens": [TOKEN],
        "paths": [path_word],
        "clients": ["127.0.0.1"],
    }
    found = find_secrets(secrets, texts)

    assert (collector.spans()["kind"] == "server").sum() == 8
    assert found[found["found"] != ""].empty, found
    assert not re.search(rf"(?<![\w.-]){code}(?![\w.-])", texts["what spans say"])


def test_a_request_of_a_client_that_is_traced_is_a_part_of_its_trace(api: ApiProcess, spans_of: SpansOf) -> None:
    send(api, "/v1/register", json={}, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    spans = spans_of("POST /v1/register")

    assert set(spans["trace"]) == {TRACE}
    assert spans.iloc[0]["parent"] == PARENT


@pytest.mark.parametrize("sampler", ["parentbased_always_on", "always_off"])
def test_a_request_that_is_not_sampled_has_no_spans(start: Start, collector: TraceCollector, sampler: str) -> None:
    api = start(OTEL_TRACES_SAMPLER=sampler)
    answer = register_as(api, f"unsampled-{sampler}@example.com", traceparent=f"00-{TRACE}-{PARENT}-00")
    api.stop()

    assert answer.status_code == 202
    assert collector.spans().empty


def register_as(api: ApiProcess, email: str, **headers: str) -> httpx.Response:
    return send(api, "/v1/register", json={"email": email, "password": SECRET}, headers=headers)


def test_a_traceparent_that_is_none_begins_a_trace(api: ApiProcess, spans_of: SpansOf) -> None:
    for header in ("", "00", f"00-{'0' * 32}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01", "\xff" * 100):
        send(api, "/v1/register", json={}, headers={"traceparent": header.encode("latin-1")})
    spans = spans_of(*["POST /v1/register"] * 5)

    assert set(spans["parent"]) == {""}
    assert spans["trace"].nunique() == 5


def test_a_request_on_the_same_connection_inherits_nothing_of_the_one_before(
    api: ApiProcess, spans_of: SpansOf
) -> None:
    head = "GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n"
    talk = [head.format("/", f"traceparent: 00-{TRACE}-{PARENT}-01\r\n"), head.format("/health/ready", "")]
    converse(api.url, [("".join([*talk, head.format("/", "Connection: close\r\n")]).encode(), False)])
    spans = spans_of("GET /", "GET /")

    # Of the probe between them there is none, nor of its statement.
    assert [row.parent for row in spans.itertuples()] == [PARENT, ""]


def test_an_answer_that_is_a_failure_of_the_service_is_marked_and_a_refusal_is_not(
    start: Start, collector: TraceCollector
) -> None:
    api = start(CLIENT_LIMIT=1)
    wait_for_room_in_the_minute()
    answers = [send(api, "/v1/register", json={}).status_code for _ in range(2)]
    send(api, "/nowhere")
    spans = collector.wait_for_names("POST /v1/register", "POST /v1/register", "POST")

    assert answers == [422, 429]
    assert not spans["failed"].any()
    assert ["status_code=429" in text for text in spans["attributes"]] == [False, True, False]


def test_a_database_that_is_gone_is_told_by_the_kind_of_error(collector: TraceCollector, start: Start) -> None:
    with ScratchDatabase() as database:
        api = start(DATABASE_URL=database.url)
        database.close()
        answer = register(api, "gone@example.com")
    spans = collector.wait_for_names("POST /v1/register").set_index("span")

    assert answer.status_code == 503
    assert spans.loc["CLAIM_ADDRESS", "failed"]
    assert "error.type=DatabaseUnavailableError" in spans.loc["CLAIM_ADDRESS", "attributes"]
    assert "error.type=503" in spans.loc["POST /v1/register", "attributes"]


def test_without_the_variables_nothing_of_opentelemetry_is_imported(shared_database: ScratchDatabase) -> None:
    imported = {}
    for name, settings in {"off": {}, "on": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}}.items():
        with start_api(shared_database.url, PYTHONVERBOSE=1, **settings) as api:
            register(api, f"{name}@example.com")
            imported[name] = set(re.findall(r"^import '([\w.]+)'", api.log(), re.MULTILINE))

    # FastAPI itself imports OpenTelemetry's interface, which does nothing.
    ours = ("beefirst.api.open_telemetry", "beefirst.api.trace_export")
    tracing = (
        "opentelemetry.sdk",
        "opentelemetry.exporter",
        "opentelemetry.proto",
        "google.protobuf",
        "requests",
        *ours,
    )
    assert [name for name in imported["off"] if name.startswith(tracing)] == []
    assert {"beefirst.api.tracing", "beefirst.passwords"} <= imported["off"]
    assert {"opentelemetry.sdk.trace", "requests"} <= imported["on"]


def test_the_spans_of_fastapi_which_hold_paths_and_queries_are_never_made(
    start: Start, collector: TraceCollector
) -> None:
    api = start(FASTAPI_OTEL_AUTO_CONFIGURE="true")
    send(api, "/v1/register?a=b", json={})
    api.stop()

    assert collector.resources[0]["service.name"] == "beefirst"
    assert list(collector.spans()["span"]) == ["POST /v1/register"]
    assert "url." not in collector.texts()["what spans say"].replace("url.scheme", "")


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_SERVICE_NAME": "beefirst"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "True"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_variables_that_ask_for_no_traces_make_none(variables: dict[str, str]) -> None:
    assert create_tracing(variables) is None


ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER is zipkin: otlp and console are there, or none."),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "only http/protobuf is there, on port 4318"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": f"collector:{TOKEN}"}, "must be a URL, as http://collector:4318"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user:{TOKEN}@[::1"}, "must be a URL, as http://collector:4318"),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_HEADERS": f"a=b,{TOKEN}"}, "with commas between; number 2 is not."),
    ],
)
def test_a_variable_that_cannot_be_done_is_refused_without_its_secrets(variables: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        create_tracing(variables)

    assert said in str(refusal.value)
    assert TOKEN not in str(refusal.value)


NOT_INSTALLED = (
    "import sys; sys.modules['opentelemetry.sdk'] = None; from beefirst.cli import main; sys.exit(main(['api']))"
)


def run_api(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script]
    environment = clean_environment() | variables
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_traces_that_are_asked_for_and_not_installed_are_one_line_that_says_what_to_install() -> None:
    result = run_api(NOT_INSTALLED, **ENDPOINT)

    assert (result.returncode, result.stderr) == (
        1,
        "beefirst: OTEL_EXPORTER_OTLP_ENDPOINT asks for traces, and OpenTelemetry's SDK is not installed: "
        "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http, or do not set it.\n",
    )


def test_a_queue_that_cannot_be_is_refused_in_one_line(shared_database: ScratchDatabase) -> None:
    script = "from beefirst.cli import main; import sys; sys.exit(main(['api']))"
    variables = ENDPOINT | {"OTEL_BSP_MAX_QUEUE_SIZE": "1", "API_PORT": str(free_port())}
    result = run_api(script, DATABASE_URL=shared_database.url, **variables)

    assert result.returncode == 1
    assert result.stderr.startswith("beefirst: The variables that begin with OTEL_BSP_ do not fit: ")
    assert result.stderr.count("\n") == 1


def test_the_variables_of_the_sdk_hold(start: Start, collector: TraceCollector) -> None:
    api = start(
        OTEL_SERVICE_NAME="claims",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=trial",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
    )
    send(api, "/v1/register", json={})
    collector.wait_for_names("POST /v1/register")

    assert collector.resources[0]["service.name"] == "claims"
    assert collector.resources[0]["deployment.environment.name"] == "trial"
    assert collector.headers[0]["authorization"] == f"Bearer {TOKEN}"
    assert collector.headers[0]["content-encoding"] == "gzip"


def test_traces_can_be_written_to_the_log_a_line_each(start: Start) -> None:
    api = start(OTEL_EXPORTER_OTLP_ENDPOINT="", OTEL_TRACES_EXPORTER="console")
    send(api, "/v1/register", json={})
    wait_until(lambda: '"name": "POST /v1/register"' in api.log())
    (line,) = [line for line in api.log().splitlines() if "POST /v1/register" in line and line.startswith("{")]

    assert line.endswith("}")


@pytest.mark.parametrize("state", ["nobody listens", "silent", "refuses"])
def test_a_collector_that_takes_nothing_holds_up_neither_requests_nor_the_end(
    start: Start, collector: TraceCollector, state: str
) -> None:
    elsewhere = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user:{TOKEN}@127.0.0.1:1/?key={TOKEN}"}
    if state == "silent":
        collector.fall_silent()
    elif state == "refuses":
        collector.answer_with(401)
    api = start(LOG_LEVEL="DEBUG", **(elsewhere if state == "nobody listens" else {}))
    answers = [register(api, f"away{number}@example.com").status_code for number in range(3)]
    wait_until(lambda: AWAY in api.log())
    answers += [send(api, "/nowhere").status_code for _ in range(20)]
    status, log = api.stop(), api.log()

    assert answers == [202] * 3 + [404] * 20
    assert status == 0
    assert log.count(AWAY) == 1
    assert "Traceback" not in log
    assert TOKEN not in log


def test_a_collector_that_comes_back_gets_traces_again_and_the_log_says_so(
    start: Start, collector: TraceCollector
) -> None:
    collector.answer_with(503)
    api = start()
    send(api, "/v1/register", json={})
    wait_until(lambda: AWAY in api.log())
    collector.answer_with(200)
    send(api, "/nowhere")
    collector.wait_for_names("POST")
    wait_until(lambda: BACK in api.log())

    assert f"{AWAY} {collector.url} (status 503)" in api.log()


def test_of_traces_that_nobody_takes_no_more_are_kept_than_the_queue_holds(
    start: Start, collector: TraceCollector
) -> None:
    collector.fall_silent()
    api = start(OTEL_BSP_MAX_QUEUE_SIZE=10, OTEL_BSP_MAX_EXPORT_BATCH_SIZE=5, OTEL_EXPORTER_OTLP_TIMEOUT=60)
    for _ in range(40):
        send(api, "/nowhere")
    collector.answer_again()
    api.stop()

    assert 10 <= len(collector.spans()) <= 10 + 5
