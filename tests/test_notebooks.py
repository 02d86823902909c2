"""The notebooks run on tiny data; in git they have no outputs."""

import pathlib

import nbclient
import nbformat
import pytest

ROOT = pathlib.Path(__file__).parents[1]
NAMES = sorted(p.name for p in (ROOT / "notebooks").glob("*.ipynb"))


def read(name):
  return nbformat.read(ROOT / "notebooks" / name, as_version=4)


def execute(name, folder, **parameters):
  """Runs a notebook in `folder` with other parameters; returns its text."""
  book = read(name)
  place, = (
      n for n, cell in enumerate(book.cells)
      if "parameters" in cell.metadata.get("tags", ())
  )
  unknown = [p for p in parameters if f"{p}" not in book.cells[place].source]
  assert not unknown
  book.cells.insert(place + 1, nbformat.v4.new_code_cell(
      f"sys.path.insert(0, {str(ROOT)!r})\n"
      + "\n".join(f"{k} = {v!r}" for k, v in parameters.items())
  ))
  # As in a clone: the first cell looks for the folder accfm.
  (pathlib.Path(folder) / "accfm").mkdir(exist_ok=True)
  nbclient.NotebookClient(
      book, timeout=600, resources={"metadata": {"path": str(folder)}}
  ).execute()
  return "\n".join(
      output.get("text", "") or str(output.get("data", {}))
      for cell in book.cells for output in cell.get("outputs", ())
  )


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
  """(folder with a tiny student in it, what notebook 1 printed)."""
  folder = tmp_path_factory.mktemp("notebooks")
  said = execute(
      "1_quickstart.ipynb", folder, workdir=str(folder), people=12, minutes=4,
      scale="tiny", teacher_steps=2, student_steps=2, evaluation="tiny",
  )
  return folder, said


def test_there_are_four():
  assert [name[0] for name in NAMES] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("name", NAMES)
def test_stored_clean(name):
  """No outputs, no counts; all begin alike, so that a bare Colab can."""
  book = read(name)
  nbformat.validate(book)
  code = [cell for cell in book.cells if cell.cell_type == "code"]
  for cell in code:
    assert not cell.outputs and cell.execution_count is None
  assert code[0].source == next(
      cell.source for cell in read(NAMES[0]).cells if cell.cell_type == "code"
  )


@pytest.mark.full
def test_quickstart(quickstart):
  folder, said = quickstart
  assert "unseen people" in said and "<iframe srcdoc" in said
  assert (folder / "evaluation" / "report.html").exists()


@pytest.mark.full
def test_evaluate_a_checkpoint(quickstart, tmp_path):
  folder, _ = quickstart
  said = execute(
      "2_evaluate_a_checkpoint.ipynb", tmp_path, evaluation="tiny",
      checkpoint=str(folder / "student"), workdir=str(tmp_path),
  )
  assert "probe_hr/mae_bpm" in said and "acc2ppg/recall@1_pool8" in said
  assert "effective_rank" in said


@pytest.mark.full
def test_explore_a_recording(quickstart, tmp_path):
  folder, _ = quickstart
  said = execute(
      "3_explore_your_recording.ipynb", tmp_path,
      checkpoint=str(folder / "student"),
  )
  assert "windows of 60 s" in said and said.count("image/png") == 3


@pytest.mark.full
def test_probe_a_label(quickstart, tmp_path):
  folder, _ = quickstart
  said = execute(
      "4_probe_your_label.ipynb", tmp_path, evaluation="tiny",
      checkpoint=str(folder / "student"), workdir=str(tmp_path),
  )
  assert "probe_pace/" in said
