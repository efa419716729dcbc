"""The reader's copy of the notebooks: what stays, what follows the originals, what comes back."""

import json
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from ipykernel.ipkernel import IPythonKernel
from nbformat.sign import NotebookNotary

from beefirst.errors import ConfigurationError
from beefirst.jupyter import readers_copy


@dataclass(frozen=True)
class Folders:
    shipped: Path
    copies: Path
    signatures: Path

    def seed(self) -> list[str]:
        return readers_copy.seed(self.shipped, self.copies, self.signatures)

    def reset(self) -> str:
        return readers_copy.reset(self.shipped, self.copies, self.signatures)

    def outdated(self) -> list[str]:
        return readers_copy.outdated(self.shipped, self.copies)

    def is_trusted(self, name: str) -> bool:
        with NotebookNotary(data_dir=str(self.signatures)) as notary:
            return bool(notary.check_signature(nbformat.read(self.copies / name, as_version=4)))


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Two shipped notebooks, and the reader's copies of them."""
    folders = Folders(tmp_path / "shipped", tmp_path / "data" / "copies", tmp_path / "data" / "signatures")
    folders.shipped.mkdir()
    write(folders.shipped / "00.ipynb", "0")
    write(folders.shipped / "01.ipynb", "1")
    folders.seed()
    return folders


def write(path: Path, source: str) -> None:
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), path)


def run(path: Path) -> None:
    """Leave the notebook as JupyterLab does after a run: outputs, counts and metadata, the same cells."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].outputs = [nbformat.v4.new_output("stream", text="hello")]
    notebook.cells[0].execution_count = 7
    notebook.metadata["language_info"] = {"name": "python", "version": "3.11.7"}
    nbformat.write(notebook, path)


def source(path: Path) -> str:
    return str(nbformat.read(path, as_version=4).cells[0].source)


def test_the_first_seeding_copies_every_shipped_notebook_cell_by_cell(folders: Folders) -> None:
    originals = {path.name: json.loads(path.read_bytes())["cells"] for path in folders.shipped.iterdir()}

    copies = {path.name: json.loads(path.read_bytes())["cells"] for path in folders.copies.glob("*.ipynb")}

    assert copies == originals


def test_a_seeded_copy_names_its_language_as_the_kernel_will_and_so_stays_unchanged_when_opened(
    folders: Folders,
) -> None:
    copy = json.loads((folders.copies / "00.ipynb").read_bytes())

    assert copy["metadata"]["language_info"] == IPythonKernel.language_info


def test_jupyterlab_trusts_a_seeded_copy_and_not_one_from_elsewhere(folders: Folders) -> None:
    write(folders.copies / "mine.ipynb", "print('mine')")

    trusted = [folders.is_trusted("00.ipynb"), folders.is_trusted("mine.ipynb")]

    assert trusted == [True, False]


def test_a_second_seeding_writes_nothing(folders: Folders) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in folders.copies.iterdir()}

    written = folders.seed()

    assert written == []
    assert {path.name: path.stat().st_mtime_ns for path in folders.copies.iterdir()} == before


def test_an_edit_survives_though_the_original_changed(folders: Folders) -> None:
    write(folders.copies / "00.ipynb", "my edit")
    write(folders.shipped / "00.ipynb", "new original")

    folders.seed()

    assert source(folders.copies / "00.ipynb") == "my edit"


def test_a_copy_that_nobody_edited_follows_its_original(folders: Folders) -> None:
    write(folders.shipped / "00.ipynb", "new original")

    written = folders.seed()

    assert written == ["00.ipynb"]
    assert source(folders.copies / "00.ipynb") == "new original"
    assert folders.is_trusted("00.ipynb")


def test_to_run_a_notebook_is_not_to_edit_it(folders: Folders) -> None:
    run(folders.copies / "00.ipynb")
    write(folders.shipped / "00.ipynb", "new original")

    folders.seed()

    assert source(folders.copies / "00.ipynb") == "new original"


def test_the_outputs_of_a_run_stay_while_the_original_stays(folders: Folders) -> None:
    run(folders.copies / "00.ipynb")

    written = folders.seed()

    assert written == []
    assert nbformat.read(folders.copies / "00.ipynb", as_version=4).cells[0].execution_count == 7


def test_a_deleted_notebook_comes_back(folders: Folders) -> None:
    (folders.copies / "01.ipynb").unlink()

    written = folders.seed()

    assert written == ["01.ipynb"]


def test_a_notebook_that_is_no_longer_shipped_goes_unless_it_was_edited(folders: Folders) -> None:
    write(folders.copies / "01.ipynb", "my edit")
    write(folders.shipped / "02.ipynb", "2")
    (folders.shipped / "00.ipynb").unlink()
    (folders.shipped / "01.ipynb").unlink()

    folders.seed()

    assert sorted(path.name for path in folders.copies.glob("*.ipynb")) == ["01.ipynb", "02.ipynb"]


def test_an_empty_folder_of_originals_takes_nothing_away(folders: Folders, tmp_path: Path) -> None:
    readers_copy.seed(tmp_path / "nowhere", folders.copies, folders.signatures)

    assert sorted(path.name for path in folders.copies.glob("*.ipynb")) == ["00.ipynb", "01.ipynb"]


def test_reset_restores_every_original_and_says_how_many(folders: Folders) -> None:
    write(folders.copies / "00.ipynb", "my edit")
    (folders.copies / "01.ipynb").unlink()

    message = folders.reset()

    assert message == f"2 notebooks in {folders.copies} are as they were shipped."
    assert [source(folders.copies / name) for name in ("00.ipynb", "01.ipynb")] == ["0", "1"]
    assert folders.outdated() == []


def test_the_readers_other_files_stay_through_seeding_and_reset(folders: Folders) -> None:
    write(folders.copies / "mine.ipynb", "mine")
    (folders.copies / "notes.txt").write_text("notes")

    folders.seed()
    folders.reset()

    assert source(folders.copies / "mine.ipynb") == "mine"
    assert (folders.copies / "notes.txt").read_text() == "notes"


def test_outdated_names_the_edited_copies_whose_original_is_newer(folders: Folders) -> None:
    write(folders.copies / "00.ipynb", "my edit")
    write(folders.shipped / "00.ipynb", "new original")
    write(folders.shipped / "01.ipynb", "new original")

    folders.seed()

    assert folders.outdated() == ["00.ipynb"]


def test_an_edit_alone_outdates_nothing(folders: Folders) -> None:
    write(folders.copies / "00.ipynb", "my edit")

    folders.seed()

    assert folders.outdated() == []


def test_an_edited_copy_stays_outdated_through_later_starts(folders: Folders) -> None:
    write(folders.copies / "00.ipynb", "my edit")
    write(folders.shipped / "00.ipynb", "new original")
    folders.seed()

    folders.seed()

    assert folders.outdated() == ["00.ipynb"]


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00", '{"00.ipynb": 1}'])
def test_a_spoilt_manifest_keeps_every_copy_and_stops_nothing(folders: Folders, content: str) -> None:
    (folders.copies / readers_copy.MANIFEST).write_text(content)
    write(folders.copies / "00.ipynb", "my edit")
    write(folders.shipped / "00.ipynb", "new original")

    folders.seed()

    assert source(folders.copies / "00.ipynb") == "my edit"


def test_a_spoilt_manifest_is_learned_anew_from_copies_that_equal_their_originals(folders: Folders) -> None:
    (folders.copies / readers_copy.MANIFEST).write_text("{")
    folders.seed()
    write(folders.shipped / "01.ipynb", "new original")

    folders.seed()

    assert source(folders.copies / "01.ipynb") == "new original"


def test_a_copy_that_is_no_notebook_any_more_counts_as_edited(folders: Folders) -> None:
    (folders.copies / "00.ipynb").write_text("not json")
    write(folders.shipped / "00.ipynb", "new original")

    folders.seed()

    assert (folders.copies / "00.ipynb").read_text() == "not json"
    assert folders.outdated() == ["00.ipynb"]


def test_the_manifest_is_hidden_from_the_file_browser_and_nothing_half_written_is_left(folders: Folders) -> None:
    names = sorted(path.name for path in folders.copies.iterdir())

    assert names == [".seeded.json", "00.ipynb", "01.ipynb"]
    assert list(json.loads((folders.copies / ".seeded.json").read_text())) == ["00.ipynb", "01.ipynb"]


def test_a_folder_that_cannot_be_made_is_refused_with_one_line(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match=r"^Cannot use .*/file/copies \(Not a directory\): set BEEFIRST_DATA"):
        readers_copy.seed(folders.shipped, tmp_path / "file" / "copies", folders.signatures)
