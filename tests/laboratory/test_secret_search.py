"""A secret is found however a program spells it."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest

from beefirst.laboratory.secret_search import find_secrets, forms

SECRET = "the söcret's horse: 100%"


@pytest.mark.parametrize(
    "text",
    [
        f"password={SECRET}",
        f"/path/{quote(SECRET, safe='')}/more",
        f"?p={quote_plus(SECRET)}&q=1",
        json.dumps({"password": SECRET}),
        SECRET.encode().hex(),
        *(base64.b64encode(b"u" * before + b":" + SECRET.encode() + b"more").decode() for before in range(6)),
    ],
)
def test_a_secret_is_found_in_any_spelling(text: str) -> None:
    found = find_secrets({"passwords": [SECRET]}, {"the log": f"a line\n{text}\nanother"})

    assert found["found"].tolist() != [""]


def test_what_is_not_there_is_not_found() -> None:
    found = find_secrets({"passwords": [SECRET], "codes": ["1234"]}, {"the log": "the secret's horse", "figures": ""})

    assert found["found"].tolist() == [""] * 4
    assert found["searched"].tolist() == [1] * 4


def test_forms_that_are_alike_have_one_name_and_short_secrets_no_parts() -> None:
    assert set(forms("1234")) == {"as it is", "in hexadecimal", "in base64"}
