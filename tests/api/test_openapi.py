"""The OpenAPI document, against the API that publishes it."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from beefirst.laboratory.api_process import ApiProcess

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


OPERATIONS = (
    "POST /v1/register",
    "POST /v1/activate",
    "GET /health/live",
    "GET /health/ready",
    "GET /health",
    "GET /health/startup",
    "GET /metrics",
)


@pytest.fixture(scope="module")
def document(shared_api: ApiProcess) -> dict[str, APIOperation]:
    schema = schemathesis.openapi.from_url(f"{shared_api.url}/openapi.json")
    operations = (result.ok() for result in schema.get_all_operations())
    return {f"{operation.method.upper()} {operation.path}": operation for operation in operations}


def test_the_document_has_every_operation(document: dict[str, APIOperation]) -> None:
    assert set(document) == set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_another_method_is_documented_with_what_is_allowed(document: dict[str, APIOperation], name: str) -> None:
    answer = document[name].definition.raw["responses"]["405"]

    assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Problem"}
    assert "Allow" in answer["headers"]


VALID, INVALID = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE


@pytest.mark.parametrize(
    ("name", "mode"),
    [*((name, VALID) for name in OPERATIONS), *((name, INVALID) for name in OPERATIONS if name.startswith("POST"))],
)
def test_no_request_gets_a_server_error_or_an_answer_that_is_not_documented(
    document: dict[str, APIOperation], name: str, mode: schemathesis.GenerationMode
) -> None:
    @given(document[name].as_strategy(generation_mode=mode))
    @settings(max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def validate(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    validate()
