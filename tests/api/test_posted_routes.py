"""A route is found wherever FastAPI finds it, and nowhere else."""

import pytest

from beefirst.api.posted_routes import find_posted

ROUTES = {"/v1/register": "the route"}


@pytest.mark.parametrize(
    ("path", "root_path"),
    [("/v1/register", ""), ("/v1/register\n", ""), ("/x/v1/register", "/x"), ("/v1/register", "/x")],
)
def test_a_post_leads_to_its_route(path: str, root_path: str) -> None:
    assert find_posted({"type": "http", "method": "POST", "path": path, "root_path": root_path}, ROUTES) == "the route"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/register"), ("POST", "/v1/register/"), ("POST", "/v1/register\n\n"), ("POST", "/x/v1/register")],
)
def test_anything_else_leads_nowhere(method: str, path: str) -> None:
    assert find_posted({"type": "http", "method": method, "path": path}, ROUTES) is None
