"""The reader's copy of the notebooks: edits stay, what nobody edited follows the shipped original."""

import hashlib
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from beefirst.jupyter.fast_import import skip_iri_grammar
from beefirst.machine.folders import NOTEBOOKS, data_folder, explain_unwritable, replace_file

MANIFEST = ".seeded.json"
"""What each copy was seeded from: the fingerprint of the original, by file name."""

LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": sys.version_info.major},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
    "version": platform.python_version(),
}
"""As ipykernel reports it."""


def copies_folder() -> Path:
    """Return the folder that holds the reader's notebooks."""
    return data_folder() / "notebooks"


def signatures_folder() -> Path:
    """Return the folder where JupyterLab keeps which notebooks it trusts: its data folder."""
    return data_folder() / "jupyter" / "data"


@explain_unwritable()
def seed(shipped: Path = NOTEBOOKS, copies: Path | None = None, signatures: Path | None = None) -> list[str]:
    """Bring the copies up to date without touching what the reader edited.

    A missing notebook is copied. One whose cells are still those it was seeded with follows its original:
    it is replaced when that changed, and removed when that is no longer shipped. To run a notebook is not
    to edit it: outputs do not count, since opening and running rewrites them.

    Args:
        shipped: the folder of the originals.
        copies: the folder of the copies; made if need be.
        signatures: the folder of JupyterLab's trust database, in which new copies are signed.

    Returns:
        The names of the notebooks that were written.

    Raises:
        ConfigurationError: a file or folder cannot be read or written.
    """
    copies = copies or copies_folder()
    copies.mkdir(parents=True, exist_ok=True)
    originals, seeded, found = _fingerprints(shipped), _read_manifest(copies), _fingerprints(copies)
    if not originals:
        return []
    untouched = {name for name, cells in found.items() if seeded.get(name) == cells}
    written = [name for name in originals if _is_due(name, originals, found, untouched)]
    _write(written, shipped, copies, signatures)
    for name in untouched - originals.keys():
        (copies / name).unlink()
    same = {name for name, cells in originals.items() if found.get(name) == cells}
    kept = {name: cells for name, cells in seeded.items() if name in originals and name in found}
    _write_manifest(copies, seeded, kept | {name: originals[name] for name in {*written, *same}})
    return written


@explain_unwritable()
def reset(shipped: Path = NOTEBOOKS, copies: Path | None = None, signatures: Path | None = None) -> str:
    """Put every notebook back as it was shipped, and leave the reader's other files alone.

    Returns:
        One sentence that says how many notebooks were put back, and where.

    Raises:
        ConfigurationError: a file or folder cannot be read or written.
    """
    copies = copies or copies_folder()
    originals = _fingerprints(shipped)
    _write(originals, shipped, copies, signatures)
    _write_manifest(copies, {}, originals)
    return f"{len(originals)} notebooks in {copies} are as they were shipped."


def outdated(shipped: Path = NOTEBOOKS, copies: Path | None = None) -> list[str]:
    """Return the names of the copies that the reader edited and whose original is newer than their start."""
    copies = copies or copies_folder()
    originals, seeded, found = _fingerprints(shipped), _read_manifest(copies), _fingerprints(copies)
    return [
        name
        for name, original in originals.items()
        if name in seeded and name in found and len({original, seeded[name], found[name]}) == 3
    ]


def _is_due(name: str, originals: Mapping[str, str], found: Mapping[str, str], untouched: set[str]) -> bool:
    return name not in found or (name in untouched and found[name] != originals[name])


def _fingerprints(folder: Path) -> dict[str, str]:
    notebooks = [path for path in sorted(folder.glob("[!.]*.ipynb")) if path.is_file()]
    return {path.name: _fingerprint(path.read_bytes()) for path in notebooks}


def _fingerprint(notebook: bytes) -> str:
    try:
        cells = [[cell["cell_type"], "".join(cell["source"])] for cell in json.loads(notebook)["cells"]]
    except (ValueError, KeyError, TypeError):
        return hashlib.sha256(notebook).hexdigest()
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def _read_manifest(copies: Path) -> dict[str, str]:
    """Return what the copies were seeded from; nothing where that is lost, so that every copy counts as edited."""
    try:
        manifest = json.loads((copies / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _write_manifest(copies: Path, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    if old != new:
        replace_file(copies / MANIFEST, json.dumps(dict(sorted(new.items())), indent=1).encode())


def _write(names: Iterable[str], shipped: Path, copies: Path, signatures: Path | None) -> None:
    copies.mkdir(parents=True, exist_ok=True)
    for name in names:
        replace_file(copies / name, _name_language((shipped / name).read_bytes()))
    _trust([copies / name for name in names], signatures or signatures_folder())


def _name_language(notebook: bytes) -> bytes:
    """Return a notebook with what its kernel will say of its language, lest opening it counts as a change."""
    try:
        content = json.loads(notebook)
        content["metadata"]["language_info"] = LANGUAGE
    except (ValueError, KeyError, TypeError):
        return notebook
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _trust(notebooks: list[Path], signatures: Path) -> None:
    if not notebooks:
        return
    skip_iri_grammar()
    import nbformat
    from nbformat.sign import NotebookNotary

    signatures.mkdir(parents=True, exist_ok=True, mode=0o700)
    with NotebookNotary(data_dir=str(signatures)) as notary:
        for path in notebooks:
            notary.sign(nbformat.read(path, as_version=4))
