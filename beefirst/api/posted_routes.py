"""Which of some routes a POST leads to, just as FastAPI finds it, so that no spelling of a path goes around a limit."""

from collections.abc import Mapping
from typing import TypeVar

from starlette.types import Scope

Found = TypeVar("Found")


def find_posted(scope: Scope, routes: Mapping[str, Found]) -> Found | None:
    """Return what a request leads to if it is a POST to one of these paths.

    Args:
        scope: of the request.
        routes: by path, none of which has parameters.
    """
    if scope["type"] != "http" or scope["method"] != "POST":
        return None
    # Starlette's routes leave the root path out, and end in $, which holds before a newline at the end as well.
    path: str = scope["path"].removeprefix(scope.get("root_path", "")).removesuffix("\n")
    return routes.get(path)
