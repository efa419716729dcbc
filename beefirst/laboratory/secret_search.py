"""Looking for secrets in texts: as they are, and as programs spell what they pass on."""

import base64
import json
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus

import pandas as pd

SHORT = 6
"""What is shorter has parts of base64 so short that they stand everywhere by chance."""


def forms(secret: str) -> dict[str, str]:
    """Return how a secret may stand in a text, by the name of the form; forms that are alike are named once.

    Args:
        secret: not empty.
    """
    data = secret.encode()
    spelled = {
        "as it is": secret,
        "percent-encoded": quote(secret, safe=""),
        "as in a form": quote_plus(secret),
        "in JSON": json.dumps(secret)[1:-1],
        "in hexadecimal": data.hex(),
        **_in_base64(data),
    }
    once = {text: name for name, text in reversed(spelled.items())}
    return {name: text for text, name in once.items()}


def _in_base64(data: bytes) -> dict[str, str]:
    """Return base64 of what stands alone, and the middle of what base64 makes of it within something longer."""
    alone = {"in base64": base64.b64encode(data).decode().rstrip("=")}
    if len(data) < SHORT:
        return alone
    within = {}
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + data).decode()
        whole = len(data) + offset - (len(data) + offset) % 3  # the bytes that fill groups of three
        within[f"in base64, {offset} bytes behind a group"] = encoded[(4 if offset else 0) : whole // 3 * 4]
    return alone | within


def find_secrets(secrets: Mapping[str, Iterable[str]], texts: Mapping[str, str]) -> pd.DataFrame:
    """Return where secrets stand.

    Args:
        secrets: by kind.
        texts: by place.

    Returns:
        One line for each place and kind: place, kind, searched (how many), found (in which forms; empty for none).
    """
    rows = list[tuple[str, str, int, str]]()
    for kind, each in secrets.items():
        spelled = [forms(secret) for secret in dict.fromkeys(each) if secret]
        for place, text in texts.items():
            found = sorted({name for named in spelled for name, form in named.items() if form in text})
            rows.append((place, kind, len(spelled), ", ".join(found)))
    return pd.DataFrame(rows, columns=["place", "kind", "searched", "found"])
