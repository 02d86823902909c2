"""Somebody else's encoder: beside a checkpoint, and without any."""

import json
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from accfm import evaluate, tabulate
from accfm.base.errors import InputError
from accfm.configs import table
from accfm.evals.embedding import outside, windows
from accfm.evals.files import foreign
from tests.evals import worlds

PROJECTION = """
import numpy as np

CALLS = []

def embed(windows, rate_hz, unit):
  CALLS.append((windows.shape, windows.dtype, rate_hz, unit))
  flat = windows.reshape(len(windows), -1)
  weights = np.random.default_rng(0).normal(size=(flat.shape[1], 5))
  return flat @ weights

def embed_with_gaps(windows, rate_hz, unit):
  out = embed(windows, rate_hz, unit)
  out[::7] = np.nan
  return out

def cube(windows, rate_hz, unit):
  return windows

def ragged(windows, rate_hz, unit):
  return [[1.0] * (1 + n % 2) for n in range(len(windows))]

def empty(windows, rate_hz, unit):
  return np.zeros((len(windows), 0))

NOT_A_FUNCTION = 3
"""


@pytest.fixture
def world(monkeypatch):
  return worlds.make(monkeypatch)


@pytest.fixture
def code(tmp_path):
  path = tmp_path / "theirs.py"
  path.write_text(PROJECTION)
  return str(path)


def _meta(folder):
  return json.loads((folder / "metrics.json").read_text())["_meta"]


def _alone(**fields):
  return worlds.config(
      data_dir="/data", dataset="toy", subgroups=False, bootstrap_draws=20,
      **fields)


def _write(path, split, seed=0, width=5, change=None):
  """Vectors of a split as another program may write them."""
  table, rng = split.table, np.random.default_rng(seed)
  columns = {
      "start_s": table["start_s"] + rng.uniform(-0.02, 0.02, len(split)),
      "session": table["session"], "participant": table["participant"],
      "acc/embedding": rng.normal(size=(len(split), width)).tolist(),
  }
  columns = {name: list(x) for name, x in columns.items()}
  if change:
    change(columns)
  pq.write_table(pa.table(columns), path)


@pytest.fixture
def files(world, tmp_path):
  """A folder of vectors for all splits, in files of other names."""
  folder = tmp_path / "theirs"
  folder.mkdir()
  for name, split in world.splits.items():
    _write(folder / f"part-{name}.parquet", split)
  return folder


def test_our_own_embeddings_score_as_the_checkpoint_does(world, tmp_path):
  save = worlds.config(save_embeddings=True, subgroups=False)
  # Keep a file that holds no weights: what identifies them is not at hand.
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(evaluate.suite.cache, "weights_hash", lambda _: "x")
    patch.setattr(evaluate.suite.cache, "encoders", lambda _: {})
    want = evaluate.run(save, "c", str(tmp_path / "own"))
  folder = str(tmp_path / "own/embeddings")
  alone = evaluate.run(
      _alone(), "", str(tmp_path / "alone"), embeddings=folder)
  beside = evaluate.run(
      worlds.config(subgroups=False), "c", str(tmp_path / "beside"),
      embeddings=folder)
  compared = 0
  for key, value in want.items():
    if "untrained" in key or "membership" in key:
      assert key not in alone or alone[key] is None
      continue
    if value is None or "_ci95_" in key:
      continue
    assert alone[key] == pytest.approx(value, abs=1e-12), key
    assert beside[key] == value, key  # the checkpoint's own are as they were
    row = key.replace("test/", "test/own.embeddings/", 1)
    if row in beside:
      assert beside[row] == pytest.approx(value, abs=1e-12), row
      compared += 1
  assert compared > 30
  for row in ("acc2ppg/recall@1_pool8", "probe_hr/mae_bpm", "health/alignment",
              "reidentify/recall@1", "control_fails/acc2ppg/recall@1_pool8"):
    assert beside[f"test/own.embeddings/{row}"] is not None, row


def test_a_random_projection_beside_a_checkpoint(
    world, tmp_path, code, capsys
):
  config = worlds.config(subgroups=False, bootstrap_draws=20)
  got = evaluate.run(
      config, "c", str(tmp_path / "out"), encoder=f"{code}:embed")
  row = "test/theirs.embed"
  for key in ("probe_hr/mae_bpm", "health/effective_rank",
              "reidentify/recall@1"):
    assert got[f"{row}/{key}"] is not None, key
  assert got[f"{row}/acc2ppg/recall@1_pool8"] is None
  about = _meta(tmp_path / "out")
  reasons = {m["key"]: m["reason"] for m in about["not_evaluable"]}
  assert reasons[f"{row}/acc2ppg/recall@1_pool8"] == (
      "theirs.embed has vectors of acc alone")
  assert got["test/acc2ppg/recall@1_pool8"] is not None
  told = "The leak guard cannot tell who theirs.embed was trained on"
  assert capsys.readouterr().out.count(told) == 1
  page = (tmp_path / "out/report.html").read_text()
  assert page.count(told) == 1 and "<th>theirs.embed" in page
  # An oracle of its vectors: the rank of what the file's function gives.
  x = world.splits["test"].values["acc"].astype(np.float32) * np.float32(1e-3)
  flat = x.reshape(len(x), -1)
  w = np.random.default_rng(0).normal(size=(flat.shape[1], 5))
  s = np.linalg.svd(flat @ w, compute_uv=False)
  p = s / s.sum()
  assert got[f"{row}/health/effective_rank"] == pytest.approx(
      np.exp(-np.sum(p * np.log(p))), rel=1e-4)


def test_a_port_to_numpy_scores_as_the_encoder_does(world, tmp_path):
  np.save(tmp_path / "w.npy", np.asarray(world.towers["acc"].weights))
  code = tmp_path / "port.py"
  code.write_text(
      "import numpy as np\n"
      f"WEIGHTS = np.load({str(tmp_path / 'w.npy')!r})\n\n"
      "def embed(windows, rate_hz, unit):\n"
      "  return windows.reshape(len(windows), -1) @ WEIGHTS\n")
  config = worlds.config(untrained=False, report=False, evals=(
      "probe", "health", "reidentify"))
  got = evaluate.run(
      config, "c", str(tmp_path / "out"), encoder=f"{code}:embed")
  compared = 0
  for key, value in got.items():
    row = key.replace("test/", "test/port.embed/", 1)
    if got.get(row) is None or key.endswith(("alignment", "uniformity")):
      continue  # those of the checkpoint are of its projections
    assert got[row] == pytest.approx(value, rel=1e-3, abs=1e-3), row
    compared += 1
  assert compared > 20


def test_a_function_alone_reads_windows_in_the_data_sets_unit(
    world, tmp_path, code, capsys
):
  got = evaluate.run(
      _alone(evals=("probe", "health", "membership")), "",
      str(tmp_path / "out"), encoder=f"{code}:embed")
  assert got["test/probe_hr/mae_bpm"] is not None
  assert got["test/membership/auc"] is None
  assert "no ceiling: no checkpoint was named" in capsys.readouterr().out
  assert not any("untrained" in key for key in got)
  about = _meta(tmp_path / "out")
  assert about["kind"] == "outside" and about["checkpoint"] == f"{code}:embed"
  assert "none of them seen" not in (tmp_path / "out/report.html").read_text()
  calls = outside.plugins.load_file(code, "").CALLS
  assert calls[-1][1:] == (np.float32, 64.0, "g")
  assert calls[-1][0][1:] == (1280, 3)


def test_all_rows_are_scored_on_the_windows_that_all_have(
    world, tmp_path, code, capsys
):
  config = worlds.quick(evals=("probe", "health"), report=True)
  got = evaluate.run(
      config, "c", str(tmp_path / "out"), encoder=f"{code}:embed_with_gaps")
  about = _meta(tmp_path / "out")
  assert about["common_windows"] == {
      "train": [51, 60], "val": [20, 24], "test": [30, 36]}
  assert about["windows"]["test"] == 30
  assert about["outside"][0]["vectors"]["test"] == {
      "windows": 30, "missing": 0, "people_missing": 0, "not_finite": 6}
  assert got["test/probe_hr/windows"] == 30
  out = capsys.readouterr().out
  assert "30 of 36 windows of test have a vector (0 windows without" in out
  assert "All rows are scored on 30 of the 36 windows of test" in out
  # As on a data set that has these windows alone.
  for split in world.splits.values():
    keep = np.arange(len(split)) % 7 != 0
    split.table = {c: x[keep] for c, x in split.table.items()}
    split.values = {c: x[keep] for c, x in split.values.items()}
  want = evaluate.run(config, "c", str(tmp_path / "less"))
  for key, value in want.items():
    assert got[key] == (value and pytest.approx(value, rel=1e-6)), key


def test_files_of_another_program(world, files, tmp_path):
  got = evaluate.run(
      _alone(evals=("probe",), report=False), "", str(tmp_path / "out"),
      embeddings=str(files))
  assert got["test/probe_hr/mae_bpm"] is not None
  (one,) = _meta(tmp_path / "out")["outside"]
  assert one["row"] == "theirs.parquet" and one["dimensions"] == {"acc": 5}
  assert one["extra"] == 0


def test_what_does_not_match_is_counted(world, files, tmp_path, capsys):
  split = world.splits["test"]

  def change(columns):
    for x in columns.values():
      del x[6:13]  # a person and a window of the next one
    columns["start_s"][0] += 0.5
    columns["acc/embedding"][1] = None
    columns["acc/embedding"][2][3] = float("inf")
    columns["participant"][3] = "toy/nobody"

  _write(files / "part-test.parquet", split, change=change)
  evaluate.run(worlds.quick(evals=("probe",)), "c", str(tmp_path / "out"),
               embeddings=str(files))
  (one,) = _meta(tmp_path / "out")["outside"]
  assert one["vectors"]["test"] == {
      "windows": 25, "missing": 9, "people_missing": 1, "not_finite": 2}
  assert one["extra"] == 2
  assert "2 vectors belong to no window" in capsys.readouterr().out


def _twice(columns):
  for x in columns.values():
    x.append(x[4])


def _elsewhere(columns):
  columns["session"] = ["b"] * len(columns["session"])


def _ragged(columns):
  columns["acc/embedding"][3] = [1.0, 2.0]


def _keyless(columns):
  del columns["session"]


def _of_ppg(columns):
  columns["ppg/embedding"] = columns.pop("acc/embedding")


@pytest.mark.parametrize("name, change, match", [
    ("all", _twice, "got 2 vectors for one window, toy/.* at .* s, and 1 win"),
    ("test", _elsewhere, "a whole vector for 0 of the 36 windows of split tes"),
    ("test", _ragged, r"has vectors of \[2, 5\] numbers, want one length"),
    ("test", _keyless, "KeyError: 'session'.*want Parquet with the columns"),
    ("all", _of_ppg, r"got columns \['ppg/embedding'\], want acc/embedding"),
    ("test", lambda c: c.update({"acc/embedding": [1.0] * 36}),
     "is double, not lists of numbers"),
])
def test_refuses_vectors_that_cannot_be_scored(
    world, files, tmp_path, name, change, match
):
  for split in world.splits if name == "all" else [name]:
    _write(files / f"part-{split}.parquet", world.splits[split], change=change)
  with pytest.raises(InputError, match=match):
    evaluate.run(worlds.quick(evals=("probe",)), "c", str(tmp_path / "out"),
                 embeddings=str(files))
  assert not (tmp_path / "out/metrics.json").exists()


def test_refuses_another_length_in_another_file(world, files, tmp_path):
  _write(files / "part-test.parquet", world.splits["test"], width=6)
  with pytest.raises(InputError, match="vectors of .*acc/embedding': 5.*of "
                     ".*acc/embedding': 6"):
    evaluate.run(worlds.quick(), "c", str(tmp_path), embeddings=str(files))


@pytest.mark.parametrize("encoder, match", [
    (":nothing", "has no 'nothing'"),
    (":NOT_A_FUNCTION", "want module:function or"),
    ("", "want module:function or"),
    (":cube", r"gave float32 \[60, 1280, 3\] for windows \[60, 1280, 3\]"),
    (":ragged", r"gave list, which is no array \(.*\), for windows \[60, 12"),
    (":empty", r"gave float64 \[60, 0\] for .*, want numbers \[60, D\]"),
])
def test_refuses_what_is_no_encoder(world, tmp_path, code, encoder, match):
  with pytest.raises(InputError, match=match):
    evaluate.run(worlds.quick(evals=("probe",)), "c", str(tmp_path / "out"),
                 encoder=code + encoder)


def test_without_a_checkpoint_something_must_be_named(world, files, tmp_path):
  with pytest.raises(InputError, match="--checkpoint is missing"):
    evaluate.run(worlds.quick(), "", str(tmp_path / "out"))
  with pytest.raises(InputError, match="--checkpoint is missing"):
    evaluate.run(worlds.quick(), "", str(tmp_path / "out"), watch=True,
                 embeddings=str(files))
  with pytest.raises(InputError, match="dataset: got '' in '' without a chec"):
    evaluate.run(worlds.quick(), "", str(tmp_path / "out"),
                 embeddings=str(files))
  with pytest.raises(InputError, match="has no Parquet file"):
    evaluate.run(worlds.quick(), "", str(tmp_path / "out"),
                 embeddings=str(tmp_path / "nowhere"))
  with pytest.raises(InputError, match="signal: got 'ecg', want one of"):
    evaluate.run(_alone(signal="ecg"), "", str(tmp_path / "out"),
                 embeddings=str(files))


@pytest.mark.parametrize("kind", [
    pa.list_(pa.float64()), pa.large_list(pa.float32()),
    pa.list_(pa.float32(), 2), pa.list_(pa.int16()),
])
def test_lists_of_any_kind_are_read(tmp_path, kind):
  rows = [[1, 2], None, [3, 4]]
  table = pa.table({
      "participant": pa.array(["a", "b", "a"]).dictionary_encode(),
      "session": [1, 2, 3],
      "start_s": pa.array([0, 1_500_000, 2_000_000], pa.timestamp("us")),
      "acc/embedding": pa.array(rows, kind), "more": ["x"] * 3,
  })
  pq.write_table(table, tmp_path / "x.parquet", row_group_size=2)
  got = foreign.read(tmp_path / "x.parquet")
  np.testing.assert_array_equal(
      got.columns["acc/embedding"],
      np.array([[1, 2], [np.nan, np.nan], [3, 4]], np.float32))
  assert got.keys["participant"].tolist() == ["a", "b", "a"]
  assert got.keys["session"].tolist() == ["1", "2", "3"]
  assert got.keys["start_s"].tolist() == [0.0, 1.5, 2.0]


def test_rows_are_found_as_a_plain_search_finds_them():
  rng = np.random.default_rng(0)
  table = {
      "participant": rng.choice(["a", "b"], 40),
      "session": rng.choice(["x", "y"], 40),
      "start_s": rng.permutation(40) * 0.08,
  }
  keys = {
      "participant": rng.choice(["a", "b", "c"], 90),
      "session": rng.choice(["x", "y"], 90),
      "start_s": rng.uniform(-0.2, 3.4, 90),
  }
  got = windows.find_rows(table, keys)
  for line in range(90):
    near = [
        (abs(table["start_s"][row] - keys["start_s"][line]), row)
        for row in range(40)
        if table["participant"][row] == keys["participant"][line]
        and table["session"][row] == keys["session"][line]
    ]
    want = min(near) if near else (np.inf, -1)
    assert got[line] == (want[1] if want[0] <= windows.TOLERANCE_S else -1)


def test_rows_are_named_after_files_and_functions(tmp_path, code):
  place = tmp_path / "run one" / "embeddings"
  place.mkdir(parents=True)
  for path in (place / "test.parquet", tmp_path / "vectors"):
    path.touch()
  got = outside.name_all(
      f"{place},{tmp_path / 'vectors'},{place / 'test.parquet'}",
      f"{code}:embed,{code}:embed")
  assert [one.name for one in got] == [
      "run_one.embeddings", "vectors.parquet", "test.parquet",
      "theirs.embed", "theirs.embed#2"]
  assert isinstance(pathlib.Path(got[0].source), pathlib.Path)


def test_the_command_line_needs_no_checkpoint(simulated, tmp_path, code):
  """On a prepared data set, in its own shards."""
  parsed = evaluate.MAIN.parse([
      "--config=evaluate:tiny", f"--encoder={code}:embed",
      f"--workdir={tmp_path / 'out'}", f"--config.data_dir={simulated}",
      "--config.dataset=simulated_easy", "--noconfig.report",
  ])
  assert parsed.flags["checkpoint"] == parsed.flags["embeddings"] == ""
  got = evaluate.run(parsed.config, **parsed.flags)
  assert got["test/probe_hr/mae_bpm"] is not None
  assert got["test/features/probe_hr/mae_bpm"] is not None
  assert got["test/acc2ppg/recall@1_pool8"] is None
  assert got["test/envelope/acc2ppg/recall@1_pool8"] is not None


def test_notes_follow_the_figures_into_tables(world, tmp_path, code):
  config = worlds.quick(evals=("probe",))
  for name in ("one", "two"):
    evaluate.run(config, "c", str(tmp_path / name),
                 encoder=f"{code}:embed" if name == "one" else "")
  tabulate.run(table.get_config(), f"A={tmp_path / 'one'},B={tmp_path / 'two'}",
               str(tmp_path / "table"))
  text = (tmp_path / "table.md").read_text()
  assert text.count("cannot tell who theirs.embed was trained on") == 1
  assert "A: The leak guard cannot tell" in text
