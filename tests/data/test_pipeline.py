"""Rows come back as they were written, from one data set or several."""

import dataclasses
import itertools
import os
import re
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from accfm import prepare
from accfm.base.errors import InputError
from accfm.data import batches, joined, orders, pipeline, samplers
from tests.data import fake_source
from tests.data.shards import as_older, edit, shard_of
from tests.data.trees import same


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  """The directory of a data set of 27 windows."""
  return prepare.run(
      fake_source.get_config(), "x", str(tmp_path_factory.mktemp("data")),
      {"fake": fake_source.Fake()},
  )


def test_rows_are_what_the_recordings_held(written):
  """Every sample within half a storage step, every row in its place."""
  seen = set()
  for name in ("train", "val", "test"):
    split = pipeline.open_split(written, name)
    rows = split.read(range(len(split)), ("acc", "ppg"))
    for i in range(len(split)):
      person = split.table["participant"][i].removeprefix("fake/")
      session = str(split.table["session"][i])
      source = fake_source.recording(f"{person}/{session}")
      start = split.table["start_s"][i]
      first = round((start - fake_source.EPOCH_S) * fake_source.RATE_HZ)
      seen.add((person, session, first))
      for signal in ("acc", "ppg"):
        want = source.signals[signal].values[first:first + 128]
        scale = rows[f"{signal}_scale"][i]
        got = pipeline_dequantize(rows[signal][i], scale)
        assert np.abs(got - want).max(0).tolist() <= (0.51 * scale).tolist()
        assert np.abs(rows[signal][i]).max(0).tolist() == (
            [32767] * len(scale)
        )
  assert len(seen) == 27


def pipeline_dequantize(values, scale):
  return values.astype(np.float64) * scale.astype(np.float64)


def test_raw_reading_is_the_builders_own_decoding(written):
  split = pipeline.open_split(written, "train")
  decoded = tfds.builder_from_directory(written).as_data_source("train")
  assert len(split) == len(decoded) == split.manifest["windows"]["train"]
  order = np.random.default_rng(0).permutation(len(split))[:9]
  rows = split.read(order, ("ppg", "acc"))
  assert sorted(rows) == ["acc", "acc_scale", "ppg", "ppg_scale"]
  for place, i in enumerate(order):
    want = decoded[int(i)]
    for signal in ("acc", "ppg"):
      for key, part in ((signal, "values"), (f"{signal}_scale", "scale")):
        assert rows[key].dtype == want[signal][part].dtype
        np.testing.assert_array_equal(rows[key][place], want[signal][part])
    for column in ("participant", "session", "condition"):
      assert split.table[column][i] == want[column].decode()
    for column, kind in (("start_s", np.float64), ("motion_g", np.float32)):
      assert split.table[column].dtype == kind
      assert split.table[column][i] == want[column]
    for group in ("labels", "attributes"):
      for name, value in want[group].items():
        np.testing.assert_array_equal(split.table[f"{group}/{name}"][i], value)
  known = {f"{g}/{n}" for g in ("labels", "attributes") for n in decoded[0][g]}
  assert set(split.table) == known | {
      "participant", "session", "condition", "start_s", "motion_g"
  }


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_people_are_where_the_manifest_says(written, name):
  split = pipeline.open_split(written, name)
  names = [split.table["participant"][0]]
  first, rows = [0], [0]
  for row, person in enumerate(split.table["participant"]):
    if person != names[-1]:
      assert person not in names  # a person's rows follow one another
      names.append(person)
      first.append(row)
      rows.append(0)
    rows[-1] += 1
  got_first, got_rows = split.people
  assert got_first.tolist() == first and got_rows.tolist() == rows
  assert sum(rows) == len(split) and set(rows) <= {3, 6}


def test_only_the_signals_asked_for_are_read(written):
  split = pipeline.open_split(written, "val")
  rows = split.read([0], ("ppg",))
  assert sorted(rows) == ["ppg", "ppg_scale"]
  assert rows["ppg"].shape == (1, 128, 1) and rows["ppg"].dtype == np.int16


# --- the order of rows -------------------------------------------------------


@pytest.mark.parametrize("rows, batch", [(40, 8), (43, 8), (8, 8), (1000, 1)])
def test_an_epoch_is_a_permutation_cut_into_batches(rows, batch):
  per_epoch = rows // batch
  epochs = []
  for epoch in range(2):
    numbers = range(epoch * per_epoch, (epoch + 1) * per_epoch)
    seen = np.concatenate(
        [orders.permuted(rows, batch, 0, k) for k in numbers]
    )
    assert len(seen) == len(set(seen)) == per_epoch * batch
    assert seen.min() >= 0 and seen.max() < rows
    epochs.append(seen.tolist())
  assert epochs[0] != epochs[1]


def test_rows_left_over_by_one_epoch_come_in_another():
  seen = {row for k in range(40) for row in orders.permuted(11, 8, 0, k)}
  assert seen == set(range(11))


def test_a_batch_depends_on_seed_and_number_alone():
  def rows_of(seed, numbers):
    return {k: orders.permuted(50, 8, seed, k).tolist() for k in numbers}

  forward = rows_of(3, range(20))
  assert rows_of(3, reversed(range(20))) == forward
  assert rows_of(4, range(20)) != forward
  assert len(set(map(tuple, forward.values()))) == 20


def test_every_row_meets_every_place():
  """Over epochs, a row is as often early as late."""
  first = [orders.permuted(16, 8, 0, 2 * e) for e in range(100)]
  counts = np.bincount(np.concatenate(first), minlength=16)
  assert abs(counts - 50).max() < 5 * 5  # 5 SD of a fair coin


# --- several data sets -------------------------------------------------------


class Other(fake_source.Fake):
  """Other people, of whom another attribute is known."""

  def read_recording(self, source_dir, name, cfg):
    return dataclasses.replace(
        super().read_recording(source_dir, name, cfg),
        attributes={"target_y": 60.0},
    )


@pytest.fixture(scope="module")
def two(written, tmp_path_factory):
  """The directories of two data sets, of 27 and of 10 windows."""
  other = Other([f"Q{i}/one" for i in range(5)], windows=2)
  return written, prepare.run(
      fake_source.get_config(name="other"), "x",
      str(tmp_path_factory.mktemp("other")), {"fake": other},
  )


def test_joined_rows_are_those_of_the_parts(two):
  parts = [pipeline.open_split(folder, "train") for folder in two]
  split = joined.open_joined(two, "train")
  a, b = map(len, parts)
  assert len(split) == a + b and split.bounds.tolist() == [0, a, a + b]
  assert split.cohorts == ("tiny", "other")
  assert split.contract == parts[0].contract
  order = np.random.default_rng(1).permutation(a + b)
  got, place = split.read(order, ("acc", "ppg")), split.cohort(order)
  assert place.dtype == np.int32
  for i, row in enumerate(order):
    number, own = (0, row) if row < a else (1, row - a)
    assert place[i] == number
    want = parts[number].read([own], ("acc", "ppg"))
    same({key: values[i:i + 1] for key, values in got.items()}, want)
  # Rows of one part alone, whichever it is.
  same(split.read([0, 1], ("acc",)), parts[0].read([0, 1], ("acc",)))
  same(split.read(range(a, a + 2), ("acc",)), parts[1].read([0, 1], ("acc",)))


def test_a_joined_table_knows_what_its_parts_know(two):
  parts = [pipeline.open_split(folder, "train") for folder in two]
  table = joined.open_joined(two, "train").table
  a, b = map(len, parts)
  assert set(table) == set(parts[0].table) | set(parts[1].table)
  lacking = ({"attributes/target_y"}, {"attributes/target_x"})
  for number, (part, rows) in enumerate(
      zip(parts, (slice(0, a), slice(a, a + b)), strict=True)
  ):
    assert set(table) - set(part.table) == lacking[number]
    for name, column in table.items():
      want = part.table.get(name, np.full(len(part), np.nan, np.float32))
      np.testing.assert_array_equal(column[rows], want)
      assert column.dtype.kind == want.dtype.kind
  assert table["attributes/target_y"].dtype == np.float32


def test_mixed_batches_say_whose_rows_are_whose(two):
  split = joined.open_joined(two, "train")
  sampler = samplers.make(split, 8, 5, (3.0, 1.0))
  whole = list(itertools.islice(
      batches.train_batches(split, ("acc",), sampler, 0), 4
  ))
  for k, batch in enumerate(whole):
    rows = sampler(k).rows
    same(batch, {
        **split.read(rows, ("acc",)), "row": np.arange(8, dtype=np.int32),
        "cohort": (rows >= split.bounds[1]).astype(np.int32),
    })
    assert batch["cohort"].sum() == 2
  half = batches.train_batches(split, ("acc",), sampler, 2, slice(4, 8))
  same(next(half), {key: values[4:] for key, values in whole[2].items()})


def test_data_sets_of_other_contracts_are_not_joined(two, tmp_path):
  config = fake_source.get_config(
      name="third", window_sec=8.0, hop_sec=8.0, signals__ppg__band_order=3
  )
  third = prepare.run(config, "x", str(tmp_path), {"fake": fake_source.Fake()})
  with pytest.raises(InputError, match=re.escape(
      "data set third: the input contract differs from tiny's: "
  ) + "window_sec is 8.0, want 4.0; ppg.band_order is 3, want 2"):
    joined.open_joined([two[0], third], "train")


def test_only_the_signals_that_are_read_have_to_be_alike(two, tmp_path):
  config = fake_source.get_config(name="third", signals__ppg__band_order=3)
  third = prepare.run(config, "x", str(tmp_path), {"fake": fake_source.Fake()})
  both = joined.open_joined([two[0], third], "train", signals=["acc"])
  assert list(both.contract.signals) == ["acc"]
  rows = np.array([0, len(both) - 1])
  got = both.read(rows, ("acc",))
  for place, (part, row) in enumerate(((0, 0), (1, -1))):
    part = both.parts[part]
    want = part.read([range(len(part))[row]], ("acc",))
    np.testing.assert_array_equal(got["acc"][place], want["acc"][0])
  for signals in (["acc", "ppg"], None):
    with pytest.raises(InputError, match="ppg.band_order is 3, want 2; prep"):
      joined.open_joined([two[0], third], "train", signals=signals)


# --- what can be wrong -------------------------------------------------------


def test_unknown_split_and_no_data_set(written, tmp_path):
  with pytest.raises(InputError, match=r"got 'dev', want one of \['test',"):
    pipeline.open_split(written, "dev")
  with pytest.raises(InputError, match="no manifest.json"):
    pipeline.open_split(tmp_path, "train")


def test_a_manifest_without_rows_cannot_pair_people(copy):
  edit(as_older(copy), lambda facts: facts.pop("rows"), sealed=False)
  split = pipeline.open_split(copy, "train")
  assert len(split.read([0], ("acc",))) == 2
  with pytest.raises(InputError, match=re.escape(
      f"{copy}: its manifest does not say whose rows are where; "
  ) + ".*prepare the data set again"):
    split.people  # noqa: B018


@pytest.fixture
def copy(written, tmp_path):
  return shutil.copytree(written, tmp_path / "1.0.0")


def read_all(folder):
  split = pipeline.open_split(folder, "train")
  return split.read(range(len(split)), ("acc", "ppg")), split.table


def test_a_missing_description_is_one_line(copy):
  os.remove(os.path.join(copy, "features.json"))
  with pytest.raises(InputError, match="prepare .*again") as error:
    read_all(copy)
  assert "\n" not in str(error.value)


def test_a_shard_of_another_data_set_is_refused(copy):
  """Same file names, fewer rows than the manifest says."""
  os.replace(shard_of(copy, "val"), shard_of(copy, "train"))
  with pytest.raises(InputError, match="prepare .*again"):
    read_all(copy)
