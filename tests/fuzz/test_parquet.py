"""Parquet that an evaluation wrote: its caches, predictions and queries."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from accfm.evals.compare import checkpoints as compared
from accfm.evals.compare import paired
from accfm.evals.embedding import cache
from accfm.evals.files import store
from accfm.evals.results.outcome import Predictions
from tests.evals import toy
from tests.fuzz import hostile

FACTS = {"redaction": "", "split_hash": "ab"}
ROWS = {
    "participant": np.array(["toy/a", "toy/a", "toy/b"]),
    "session": np.array(["one"] * 3), "start_s": np.arange(3.0),
}
# Columns of three lines, of types that are not those of ours.
COLUMNS = [
    pa.array([1, 2, 3]), pa.array([None] * 3), pa.array([[1], [2], []]),
    pa.array([b"\xff", b"", b"a"]), pa.array(["a", None, "\x00"]),
    pa.array([True, False, None]), pa.array([{"a": 1}] * 3),
    pa.array([1.0, float("nan"), float("inf")]),
    pa.array([2**63, 1, 2], pa.uint64()),
    pa.array(["a", "a", "b"]).dictionary_encode(),
    pa.array([1, 2, 3], pa.timestamp("s")), pa.array([1, 2, 3], pa.float16()),
    pa.FixedSizeListArray.from_arrays(pa.array([1.0] * 3), 1),
    pa.FixedSizeListArray.from_arrays(pa.array([1.0, None, 2.0]), 1),
    pa.array([[1.0], None, [2.0]], pa.list_(pa.float32(), 1)),
    pa.array([], pa.int64()),
]


def cases(path):
  """Strategy: the bytes of a table like that of a file."""
  data, table = path.read_bytes(), pq.read_table(path)
  facts = json.loads(table.schema.metadata[store.KEY])

  @st.composite
  def other(draw):
    names, columns = list(table.schema.names), list(table.columns)
    at = draw(st.integers(0, len(names) - 1))
    way = draw(st.sampled_from(["type", "type", "drop", "name", "twice"]))
    if way == "type":
      columns[at] = draw(st.sampled_from(
          [c for c in COLUMNS if len(c) == len(table)]
      ))
    elif way == "drop":
      del names[at], columns[at]
    elif way == "name":
      names[at] = draw(st.text(max_size=5))
    else:
      names.append(names[at])
      columns.append(columns[at])
    about = draw(st.just(data) | hostile.json_files(facts))
    made = pa.table(columns, names).replace_schema_metadata({
        store.KEY: json.dumps(facts).encode() if about is data else about
    }) if columns else table
    sink = pa.BufferOutputStream()
    pq.write_table(made, sink, write_page_checksum=draw(st.booleans()))
    return sink.getvalue().to_pybytes()

  return other() | hostile.damaged(data) | hostile.damaged(data[-600:]).map(
      lambda end: data[:-600] + end  # where the schema and the sizes are
  )


def test_predictions(fuzz, tmp_path):
  path = tmp_path / "predictions.parquet"
  store.write_predictions(path, [Predictions(
      "probe/hr", "bpm", ROWS, np.arange(3.0), {"tested": np.ones(3)}
  )], FACTS)

  def check(judge, case):
    path.write_bytes(case)
    judge.call(case, paired.load, [path])

  fuzz(cases(path), check)


def test_queries(fuzz, tmp_path):
  path = tmp_path / "queries.parquet"
  store.write_queries(
      path, {"acc2ppg": (np.full(3, 9), np.array([1, 2, 9]))}, ROWS, FACTS
  )

  def check(judge, case):
    path.write_bytes(case)
    judge.call(case, compared._load_queries, str(path))

  fuzz(cases(path), check)


@pytest.fixture
def split():
  return toy.Split(people=1, each=3)


def test_embeddings(fuzz, tmp_path, split):
  """A cache that cannot be read is made again, with a line that says so."""
  path = tmp_path / "test.parquet"
  keys = {k: split.table[k] for k in store.ROW_KEYS if k in split.table}
  types = {name: store.ROW_KEYS[name] for name in keys}
  store.write(
      path, {**types, "acc/embedding": store.vector(1)},
      [{**keys, "acc/embedding": np.ones((3, 1), np.float32)}], FACTS,
  )

  def check(judge, case):
    path.write_bytes(case)
    judge.call(case, cache._load, path, split, FACTS)

  fuzz(cases(path), check)
