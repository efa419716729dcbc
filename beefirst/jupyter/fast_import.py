"""Keeping a needless second out of every start."""

import sys


def skip_iri_grammar() -> None:
    """Let jsonschema do without its check of IRIs, whose grammar takes 1.3 seconds to build at every import.

    Notebooks hold none. Jupyter's packages bring `rfc3987_syntax` along, and jsonschema treats it as optional.
    Call this before the first import of nbformat or JupyterLab.
    """
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
