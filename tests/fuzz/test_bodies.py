"""Bodies that are JSON, nearly, or not at all, over HTTP: each is answered as documented, and repeated nowhere."""

import json
from typing import Any

import httpx
from hypothesis import strategies as st

from tests.conftest import SECRET
from tests.support.fuzzing import Fuzzer
from tests.support.watched_service import HANGING_SECONDS, STATUSES, WatchedService

SOUND = [
    {"email": "no address", "password": SECRET},
    {"email": "ada@example.com", "password": SECRET},
    {"code": "0000", "password": SECRET},
    {"email": SECRET, "password": "short"},
]
TOKENS = [
    *("{", "}", "[", "]", ",", ":", '"', "\\", "\\u0000", "\\ud800", "\\udfff\\ud800", "null", "true", "NaN"),
    *("-Infinity", "1e400", "-0", "9" * 5000, "[" * 3000, '{"a":' * 2000, "\ufeff", "\0", "/*", "'", "é", "\u2028"),
    *('"email": "a@b.com",', '"code": 1234,', f'"password": ["{SECRET}"],', f'"\\ud800{SECRET}":1,'),
]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"]
KINDS = [
    "APPLICATION/JSON; charset=utf-16",
    "application/json;",
    "text/plain",
    "application/json, a/b",
    "application/jso",
    "",
]


def _damage(sound: Any, damages: list[tuple[int, str, int]], encoding: str) -> bytes:
    text = json.dumps(sound)
    for place, token, cut in damages:
        at = place % (len(text) + 1)
        text = text[:at] + token + text[at + cut :]
    return text.encode(encoding, errors="replace")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.just(SECRET),
    lambda some: st.lists(some, max_size=4) | st.dictionaries(st.sampled_from(["email", "password", "code"]), some),
)
damages = st.lists(st.tuples(st.integers(0, 200), st.sampled_from(TOKENS), st.integers(0, 9)), max_size=3)
damaged = st.builds(_damage, st.sampled_from(SOUND) | values, damages, st.sampled_from(ENCODINGS))
bodies = damaged | st.binary(max_size=200)
paths = st.sampled_from(["/v1/register", "/v1/activate"])
mostly_json = st.sampled_from(["application/json"] * 6 + KINDS)


def test_any_body_is_answered_as_documented_and_nothing_of_it_is_repeated(
    service: WatchedService, fuzz: Fuzzer
) -> None:
    with httpx.Client(base_url=service.url, timeout=HANGING_SECONDS, trust_env=False) as client:

        def is_answered(path: str, body: bytes, kind: str) -> None:
            answer = client.post(path, content=body, headers={"Content-Type": kind})

            assert answer.status_code in STATUSES
            assert "detail" in answer.json() or answer.status_code == 202
            assert SECRET not in answer.text
            service.check()

        fuzz.run(is_answered, paths, bodies, mostly_json)
