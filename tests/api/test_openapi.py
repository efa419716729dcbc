"""The OpenAPI document of a running API; `tests/fuzz/test_schema.py` tries what it says."""

import pytest
import schemathesis
from schemathesis.schemas import APIOperation

from beefirst.laboratory.api_process import ApiProcess

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
