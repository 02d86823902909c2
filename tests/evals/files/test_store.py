"""Tables come back as they were written, or not at all."""

import json
import pathlib
import re
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from accfm.base import expansion
from accfm.base.errors import InputError
from accfm.evals.files import store
from accfm.evals.results.figures import TESTED
from accfm.evals.results.outcome import Predictions

TYPES = {
    "who": store.TEXT, "x": store.vector(3), "n": store.COUNT,
    "v": store.NUMBER,
}


def part(rows, seed=0):
  rng = np.random.default_rng(seed)
  return {
      "who": np.array([f"toy/{i}" for i in range(rows)]),
      "x": rng.normal(size=(rows, 3)).astype(np.float32),
      "n": rng.integers(0, 99, rows),
      "v": rng.normal(size=rows),
  }


def read(path, columns=tuple(TYPES)):
  return list(store.read(path, columns, "a table; make it again"))


def same(got, want):
  assert list(got) == list(want)
  for name, values in want.items():
    np.testing.assert_array_equal(got[name], values)


def test_tables_come_back_part_by_part(tmp_path):
  path = tmp_path / "t.parquet"
  one, two = part(5, 1), part(3, 2)
  store.write(path, TYPES, [one, two], {"step": 7, "of": ["a"]})
  got = read(path)
  assert len(got) == 2
  same(got[0], one)
  same(got[1], two)
  assert got[0]["x"].dtype == np.float32
  assert store.read_facts(path, "a table") == {"step": 7, "of": ["a"]}
  same(read(path, ["v"])[0], {"v": one["v"]})
  same(read(path, lambda names: [n for n in names if n in "wxy"])[0],
       {"x": one["x"]})
  assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_other_programs_read_it(tmp_path):
  path, one = tmp_path / "t.parquet", part(4)
  store.write(path, TYPES, [one], {"step": 7})
  table = pq.read_table(path)
  assert table.schema.field("x").type == pa.list_(pa.float32(), 3)
  np.testing.assert_array_equal(table.column("x").to_pylist(), one["x"])
  assert table.column("who").to_pylist() == one["who"].tolist()
  assert json.loads(table.schema.metadata[b"accfm"]) == {"step": 7}


def test_a_long_part_is_cut_into_row_groups(tmp_path, monkeypatch):
  monkeypatch.setattr(store, "GROUP", 4)
  one = part(10)
  store.write(tmp_path / "t.parquet", TYPES, [one], {})
  got = read(tmp_path / "t.parquet")
  assert [len(g["v"]) for g in got] == [4, 4, 2]
  same({n: np.concatenate([g[n] for g in got]) for n in TYPES}, one)


def test_parts_are_written_as_they_come(tmp_path):
  """No part is kept until the last has been made."""
  sizes = []

  def parts():
    for seed in range(3):
      yield part(2000, seed)
      (partial,) = tmp_path.iterdir()
      sizes.append(partial.stat().st_size)

  store.write(tmp_path / "t.parquet", TYPES, parts(), {})
  assert 0 < sizes[0] < sizes[1] < sizes[2]


def test_what_is_lacking_is_null(tmp_path):
  path = tmp_path / "t.parquet"
  store.write(path, TYPES, [{"x": np.zeros((2, 3))}], {})
  (got,) = read(path, ["who", "v", "n"])
  assert got["who"].tolist() == ["", ""] and np.isnan(got["v"]).all()
  assert got["n"].tolist() == [0, 0]
  assert pq.read_table(path).column("who").null_count == 2


def test_an_error_on_the_way_leaves_the_old_table(tmp_path):
  path = tmp_path / "t.parquet"
  store.write(path, TYPES, [part(2)], {})
  before = path.read_bytes()

  def parts():
    yield part(3)
    raise InputError("no more")

  with pytest.raises(InputError, match="no more"):
    store.write(path, TYPES, parts(), {})
  assert path.read_bytes() == before
  assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_a_flipped_byte_of_a_value_is_an_error(tmp_path):
  path, one = tmp_path / "t.parquet", part(4)
  store.write(path, {"v": store.NUMBER}, [{"v": one["v"]}], {})
  data = bytearray(path.read_bytes())
  (at,) = (m.start() for m in re.finditer(
      re.escape(one["v"].tobytes()), data))
  data[at + 9] ^= 0x10
  path.write_bytes(data)
  with pytest.raises(InputError, match="cannot be read .*, want a table; m"):
    read(path, ["v"])


def foreign(path):
  pq.write_table(pa.table({name: [1] for name in TYPES}), path)


@pytest.mark.parametrize("spoil, want", [
    (lambda p: p.unlink(), "FileNotFoundError"),
    (lambda p: p.write_bytes(p.read_bytes()[:-20]), "ArrowInvalid"),
    (lambda p: p.write_bytes(p.read_bytes()[:99]), "ArrowInvalid"),
    (lambda p: p.write_bytes(b""), "ArrowInvalid"),
    (lambda p: p.write_text("who,x\n"), "ArrowInvalid"),
    (foreign, "KeyError: 'accfm'"),
    (lambda p: store.write(p, {"v": store.NUMBER}, [{"v": [1.0]}], {}),
     "KeyError: 'who'"),
])
def test_what_is_no_such_table(tmp_path, spoil, want):
  path = tmp_path / "t.parquet"
  store.write(path, TYPES, [part(50)], {})
  spoil(path)
  with pytest.raises(InputError, match=(
      f"^{re.escape(str(path))}: cannot be read \\({want}.*\\), want a table; "
      "make it again$"
  )):
    read(path)


def test_predictions_name_windows_and_persons(tmp_path):
  keys = {
      "participant": np.array(["x/1", "x/2"]),
      "session": np.array(["a", "b"]), "start_s": np.array([1e9, 1e9 + 0.125]),
  }
  hr = Predictions(
      "hr", "bpm", keys, np.array([60.0, 70.0]),
      {TESTED: np.array([[61.0, 1 / 3], [62.0, 0.5]]),
       "mean": np.array([65.0, 65.0])}, fold=np.array([1, 0]),
  )
  age = Predictions(
      "age", "years", {"participant": np.array(["x/3"])}, np.array([40.0]),
      {TESTED: np.array([38.0])},
  )
  path = tmp_path / "p.parquet"
  store.write_predictions(path, [hr, age], {})
  assert pq.read_table(path).to_pylist() == [
      dict(participant=p, session=s, start_s=t, task=task, unit=unit, row=row,
           true=true, predicted=predicted, fold=fold, draw=draw)
      for p, s, t, task, unit, row, true, predicted, fold, draw in [
          ("x/1", "a", 1e9, "hr", "bpm", "encoder", 60.0, 61.0, 1, 0),
          ("x/2", "b", 1e9 + 0.125, "hr", "bpm", "encoder", 70.0, 1 / 3, 0, 0),
          ("x/1", "a", 1e9, "hr", "bpm", "encoder", 60.0, 62.0, 1, 1),
          ("x/2", "b", 1e9 + 0.125, "hr", "bpm", "encoder", 70.0, 0.5, 0, 1),
          ("x/1", "a", 1e9, "hr", "bpm", "mean", 60.0, 65.0, 1, 0),
          ("x/2", "b", 1e9 + 0.125, "hr", "bpm", "mean", 70.0, 65.0, 0, 0),
          ("x/3", None, None, "age", "years", "encoder", 40.0, 38.0, 0, 0),
      ]
  ]
  store.write_predictions(path, [], {})
  assert pq.read_table(path).num_rows == 0


def test_queries_name_their_windows(tmp_path):
  path = tmp_path / "q.parquet"
  store.write_queries(
      path, {"acc2ppg": (np.array([9, 9]), np.array([1, 4]))},
      {"participant": np.array(["1", "1"]), "window": np.array([2, 1])}, {},
  )
  assert pq.read_table(path).to_pylist() == [
      dict(participant="1", window=w, direction="acc2ppg", windows=9, rank=r)
      for w, r in [(2, 1), (1, 4)]
  ]


def test_the_documentation_names_every_column():
  text = (pathlib.Path(__file__).parents[3] / "docs/evaluation.md").read_text()
  for name in (
      *store.ROW_KEYS, *store.PREDICTIONS, *store.FITS, *store.QUERIES):
    assert f"`{name}`" in text, name


def write_raw(path, table):
  """A table with our key, written by pyarrow alone."""
  table = table.replace_schema_metadata({store.KEY: b"{}"})
  pq.write_table(table, path, row_group_size=store.GROUP)


def test_a_text_that_is_long_is_not_repeated(tmp_path):
  path = tmp_path / "t.parquet"
  text = pa.array(["a" * 50_000] + [""] * (store.GROUP - 1))
  write_raw(path, pa.table({"who": text.dictionary_encode()}).cast(
      pa.schema({"who": store.TEXT})
  ))
  # As NumPy keeps text, each line would take 200 kB: 1.6 GB in all.
  tracemalloc.start()
  with pytest.raises(InputError, match="a text of 50,000 characters"):
    read(path, ["who"])
  assert tracemalloc.get_traced_memory()[1] < 16 << 20
  tracemalloc.stop()


def test_lines_beyond_the_bound_are_refused_before_they_are_read(
    tmp_path, monkeypatch
):
  monkeypatch.setenv(expansion.VARIABLE, "4")
  path = tmp_path / "t.parquet"
  lines = 4 * store.MAX_RATIO * 8192
  write_raw(path, pa.table({"n": np.zeros(lines, np.int64)}))
  assert lines * 8 > store.MAX_RATIO * path.stat().st_size
  tracemalloc.start()
  with pytest.raises(InputError, match="MiB.*ACCFM_MAX_EXPANDED_MB="):
    read(path, ["n"])
  assert tracemalloc.get_traced_memory()[1] < 4 << 20
  tracemalloc.stop()
  monkeypatch.setenv(expansion.VARIABLE, "1000")
  assert sum(len(part["n"]) for part in read(path, ["n"])) == lines


def test_groups_and_types_that_are_not_ours(tmp_path):
  path = tmp_path / "t.parquet"
  table = pa.table({"n": np.zeros(store.GROUP + 1, np.int64)})
  pq.write_table(
      table.replace_schema_metadata({store.KEY: b"{}"}), path
  )
  with pytest.raises(InputError, match="8193 lines in a group"):
    read(path, ["n"])
  for column in (
      pa.array([[1]]), pa.array([b"x"]), pa.array([True]),
      pa.array([1.0], pa.float16()),
  ):
    write_raw(path, pa.table({"n": column}))
    with pytest.raises(InputError, match="TypeError: column 'n' is"):
      read(path, ["n"])
  write_raw(path, pa.table({"participant": pa.array([1])}))
  with pytest.raises(InputError, match="column 'participant' is int64"):
    read(path, ["participant"])
