"""Registering and activating over HTTP, as the contract has it, against a real API."""

import base64
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from beefirst.laboratory import raw_http
from beefirst.laboratory.api_process import start_api
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.laboratory.testbed import PASSWORD, Testbed, wrong
from beefirst.machine.waiting import wait_until
from tests.support.http_client import activate, register

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def testbed() -> Iterator[Testbed]:
    with Testbed(ttl_seconds=3600, log_format="json") as testbed:
        yield testbed


def post(testbed: Testbed, path: str, **content: Any) -> httpx.Response:
    return httpx.post(testbed.apis[0].url + path, timeout=30, trust_env=False, **content)


def basic(text: bytes) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(text).decode()}"}


def test_every_address_gets_the_same_answer(testbed: Testbed) -> None:
    testbed.activate("active@example.com", PASSWORD, testbed.claim("active@example.com"))
    code = testbed.claim("locked@example.com")
    for _ in range(3):
        testbed.activate("locked@example.com", PASSWORD, wrong(code))
    testbed.claim("claimed@example.com")

    answers = [testbed.register(f"{kind}@example.com") for kind in ("new", "claimed", "active", "locked")]

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(answer.headers) for answer in answers}) == 1
    assert answers[0].json()["expires_in_seconds"] == 3600


BAD_BODIES = [
    b"", b"[", b"[" * 16_000, b"\xff\xfe", b'{"email": ' + b"1" * 5_000 + b"}", b'"text"', b"null",
    b'{"email": "pl41nly-n0t", "password": "s3cr3t-enough"}',
    b'{"email": "ada@example.com", "password": "s3cr3t"}',
    b'{"email": "ada@example.com", "password": "s3cr3t\\u0000-enough"}',
    b'{"email": "ada@example.com", "password": "s3cr3t\\ud800-enough"}',
    b'{"email": "\\ud800pl41nly@example.com", "password": "s3cr3t-enough"}',
    b'{"email": "ada@example.com", "password": "' + b"s3cr3t" * 13 + b'"}',
    b'{"email": "ada@example.com", "password": 12345678}',
]  # fmt: skip


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_a_body_that_breaks_a_rule_gets_422_which_repeats_nothing_of_it(testbed: Testbed, body: bytes) -> None:
    answer = post(testbed, "/v1/register", content=body, headers=JSON)

    assert answer.status_code == 422
    assert {"loc", "msg", "type"} == set(answer.json()["detail"][0])
    assert not re.search("s3cr3t|pl41nly|12345678", answer.text)


@pytest.mark.parametrize("email", ["nobody@example.com", "owned@example.com"])
def test_a_common_password_gets_422_which_names_the_rule_whoever_has_the_address(testbed: Testbed, email: str) -> None:
    if email.startswith("owned"):
        testbed.activate(email, PASSWORD, testbed.claim(email))

    answer = testbed.register(email, "QwertyUiop")

    assert answer.status_code == 422
    assert [(field["loc"], field["msg"]) for field in answer.json()["detail"]] == [
        (["body", "password"], "must not be one of the most common passwords")
    ]
    assert "qwertyuiop" not in answer.text.lower()


def test_every_failure_to_activate_is_the_same_401(testbed: Testbed) -> None:
    code = testbed.claim("target@example.com")
    testbed.activate("done@example.com", PASSWORD, done := testbed.claim("done@example.com"))
    headers: list[tuple[dict[str, str], str]] = [
        ({}, code),
        ({"Authorization": "Basic !!!"}, code),
        ({"Authorization": "Bearer token"}, code),
        (basic(b"no colon"), code),
        (basic(b"\xff\xfe:x"), code),
        (basic(b"target@example.com:"), code),
        (basic(b"target@example.com:wrong horse"), code),
        (basic(b"target@example.com:" + b"x" * 100), code),
        (basic(b"target@example.com:" + PASSWORD.encode()), wrong(code)),
        (basic(b"stranger@example.com:" + PASSWORD.encode()), code),
        (basic(b"no address:" + PASSWORD.encode()), code),
        (basic(b"done@example.com:" + PASSWORD.encode()), done),
    ]

    answers = [post(testbed, "/v1/activate", json={"code": number}, headers=some) for some, number in headers]

    assert [answer.status_code for answer in answers] == [401] * len(headers)
    assert len({answer.content for answer in answers}) == 1
    assert {answer.headers.get("WWW-Authenticate") for answer in answers} == {'Basic realm="beefirst", charset="UTF-8"'}
    assert testbed.state("target@example.com") == "CLAIMED"


@pytest.mark.parametrize("code", ["12", "12345", "12a4", "\uff11234", 1234, None])
def test_a_malformed_code_is_422_whatever_the_credentials(testbed: Testbed, code: object) -> None:
    answers = [post(testbed, "/v1/activate", json={"code": code}, headers=some) for some in ({}, basic(b"a@b.com:x"))]

    assert [answer.status_code for answer in answers] == [422, 422]


@pytest.mark.parametrize("password", ["pässwörd-日本", "with:colons:in it"])
def test_credentials_are_utf8_and_a_password_may_hold_colons(testbed: Testbed, password: str) -> None:
    email = f"{len(password)}@example.com"
    code = testbed.claim(email, password)

    assert testbed.activate(f" {email.upper()} ", password, code).status_code == 200


def test_what_is_no_json_is_415_and_what_is_too_large_413(testbed: Testbed) -> None:
    def chunks() -> Iterator[bytes]:
        yield from [b"x" * 1000] * 20

    answers = [
        post(testbed, "/v1/register", content=b"{}", headers={"Content-Type": "text/plain"}),
        post(testbed, "/v1/register", content=b"x" * 17_000, headers=JSON),
        post(testbed, "/v1/register", content=chunks(), headers=JSON),
    ]

    assert [answer.status_code for answer in answers] == [415, 413, 413]
    assert all(answer.json()["detail"].startswith("Send ") for answer in answers)


def test_no_answer_about_accounts_is_kept_in_a_cache(testbed: Testbed) -> None:
    answers = [
        testbed.register("cached@example.com"),
        post(testbed, "/v1/register", json={}),
        post(testbed, "/v1/register", content=b"x" * 17_000, headers=JSON),
        post(testbed, "/v1/activate", json={"code": "0000"}),
        httpx.get(testbed.apis[0].url + "/v1/activate", timeout=60, trust_env=False),
    ]

    assert [answer.status_code for answer in answers] == [202, 422, 413, 401, 405]
    assert {answer.headers.get("Cache-Control") for answer in answers} == {"no-store"}
    assert answers[-1].headers["Allow"] == "POST"


def test_the_metrics_do_not_tell_a_claimed_address_from_a_taken_one(testbed: Testbed) -> None:
    def counted() -> dict[str, float]:
        lines = (line.rpartition(" ") for line in testbed.apis[0].get("/metrics").text.splitlines())
        return {name: float(value) for name, _, value in lines if name.endswith('status="202"}') and "_count" in name}

    def names() -> set[str]:
        return {line.rpartition(" ")[0] for line in testbed.apis[0].get("/metrics").text.splitlines()}

    testbed.register("warm@example.com")
    names()
    series, before = names(), counted()
    testbed.claim("metric@example.com")
    after_free = counted()
    testbed.register("metric@example.com")
    after_taken = counted()

    assert [sum(some.values()) - sum(before.values()) for some in (after_free, after_taken)] == [1, 2]
    assert {name for name in names() - series if "sweep" not in name} == set()


def test_events_are_logged_with_the_requests_id_and_without_secrets(testbed: Testbed) -> None:
    email, password = "logged@example.com", "secret-pass-phrase"
    registered = testbed.register(email, password)
    code = testbed.mailbox.code_for(email)
    refused = testbed.activate(email, password, wrong(code))
    testbed.activate(email, password, code)
    ((password_hash,),) = testbed.execute(
        "SELECT password_hash FROM registrations WHERE email = %(email)s", email=email
    )
    events = [json.loads(line) for line in testbed.apis[0].log().splitlines()]

    by_request = {event.get("request"): event for event in events if event["logger"] == "beefirst.registration"}

    assert by_request[registered.headers["X-Request-ID"]]["message"] == "claimed"
    assert by_request[refused.headers["X-Request-ID"]]["reason"] == "wrong code"
    assert {"claimed", "activated", "refused", "locked"} <= {event["message"] for event in events}
    assert not [secret for secret in (email, password, password_hash) if secret in testbed.apis[0].log()]


def test_as_json_every_line_is_an_object_and_an_expiry_belongs_to_no_request(testbed: Testbed) -> None:
    email, api = "json@example.com", testbed.apis[0]
    api.get("/nowhere")
    request = testbed.register(email).headers["X-Request-ID"]
    testbed.let_pass(email, 3600)
    ((number,),) = testbed.execute("SELECT id::text FROM registrations WHERE email = %(email)s", email=email)
    wait_until(lambda: f'"expired", "registration": "{number}"' in api.log())
    events: list[dict[str, Any]] = [json.loads(line) for line in api.log().splitlines()]
    own = [event for event in events if event.get("registration") == number]

    assert [(event["message"], event["logger"]) for event in own] == [
        ("claimed", "beefirst.registration"),
        ("expired", "beefirst.sweeper"),
    ]
    assert [event.get("request") for event in own] == [request, None]
    assert all({"timestamp", "level", "logger", "message"} <= event.keys() for event in events)
    assert any("/nowhere" in event["message"] for event in events)


def test_settings_take_effect(database: ScratchDatabase) -> None:
    settings = {"BCRYPT_COST": 11, "MAX_ATTEMPTS": 1, "TTL_SECONDS": 77, "LOG_LEVEL": "ERROR"}
    with start_api(database.url, **settings) as api:
        (answer,) = raw_http.send_at_once(api.url, [raw_http.registering("ada@example.com", PASSWORD)])
        wait_until(lambda: "DEMO MAIL to ada@example.com" in api.log())
        code = re.findall(r"code is ([0-9]{4})", api.log())[-1]
        with database.connect() as connection:
            before = connection.execute("SELECT left(password_hash, 7) FROM registrations").fetchone()
            raw_http.send_at_once(api.url, [raw_http.activating("ada@example.com", PASSWORD, wrong(code))])
            after = connection.execute("SELECT state, password_hash FROM registrations").fetchone()

    assert json.loads(answer.body)["expires_in_seconds"] == 77
    assert before == ("$2b$11$",)
    assert after == ("LOCKED", None)


def test_an_unreachable_database_is_503_with_retry_after(database: ScratchDatabase) -> None:
    email = "ada@example.com"
    with start_api(database.url) as api, ThreadPoolExecutor(2) as clients:
        database.drop()
        sent = [clients.submit(register, api, email), clients.submit(activate, api, email, "0000")]
        answers = [answer.result() for answer in sent]

    assert [(answer.status_code, answer.headers.get("Retry-After")) for answer in answers] == [(503, "1")] * 2
    assert ["try again" in answer.json()["detail"] for answer in answers] == [True, True]
    assert max(answer.elapsed.total_seconds() for answer in answers) < 30


def test_a_database_that_refuses_is_500_to_everybody_and_one_line_to_its_operator(database: ScratchDatabase) -> None:
    email = "ada@example.com"
    with start_api(database.url, SWEEP_INTERVAL_SECONDS=0.1) as api, database.connect() as connection:
        connection.execute("ALTER TABLE registrations RENAME TO gone")
        refused = [register(api, email), activate(api, email, "0000")]
        wait_until(lambda: "a sweep failed" in api.log())
        connection.execute("ALTER TABLE gone RENAME TO registrations")
        served = register(api, email)
        log = api.log()

    assert [(answer.status_code, answer.headers.get("Retry-After")) for answer in refused] == [(500, None)] * 2
    assert all("whoever runs it finds the reason in its log" in answer.text for answer in refused)
    assert not any("relation" in answer.text for answer in refused), "an answer tells strangers of the database"
    assert served.status_code == 202
    for answer in refused:
        [line] = [line for line in log.splitlines() if answer.headers["X-Request-ID"] in line and "ERROR" in line]
        assert "UndefinedTable" in line
        assert 'relation "registrations" does not exist' in line
    assert "Traceback" not in log
