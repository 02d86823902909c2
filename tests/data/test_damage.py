"""Damaged shards: found, named, and in training replaced as a function of
the draw alone; never another sample without a word."""

import contextlib
import itertools
import os
import re
import shutil

import numpy as np
import pytest

from accfm.base import mesh
from accfm.base.errors import InputError
from accfm.data import batches, damage, joined, pipeline, samplers
from tests.data.shards import as_older, put_scale, rewrite, shard_of
from tests.data.trees import same

SIGNALS = ("acc", "ppg")


@pytest.fixture
def copy(written, tmp_path):
  """A copy without checksums, as of an older version.

  The guards of single rows also stand behind the checksums: of the shards
  that opening does not read.
  """
  return as_older(shutil.copytree(written, tmp_path / "1.0.0"))


def read_all(folder):
  split = pipeline.open_split(folder, "train")
  return {**split.read(range(len(split)), SIGNALS), **split.table}


def records_of(folder):
  """(bytes of the shard, {row: where its record begins and ends})."""
  with open(shard_of(folder), "rb") as f:
    content = f.read()
  split, places = pipeline.open_split(folder, "train"), {}
  for row in range(len(split)):
    values = split.read([row], ("ppg",))["ppg"].tobytes()
    places[row] = content.find(values)  # stored as it is, where it is found
  return content, places


def hurt(folder, *rows):
  """Flips a byte in the middle of some rows' records."""
  content, places = records_of(folder)
  content = bytearray(content)
  for row in rows:
    assert places[row] > 0
    content[places[row] + 20] ^= 1
  with open(shard_of(folder), "wb") as f:
    f.write(content)


# --- found and named ---------------------------------------------------------


def test_a_flipped_byte_is_named_or_changes_nothing(copy):
  """At 20 places among the records, 10 in the index, 10 anywhere.

  Which rows are hit is told by reading each alone.
  """
  want, (content, _) = read_all(copy), records_of(copy)
  used = [at for at, byte in enumerate(content) if byte]
  rng = np.random.default_rng(0)
  places = [
      *rng.choice(used[:-200], 20), *rng.choice(used[-200:], 10),
      *rng.integers(len(content), size=10),
  ]
  silent = named = 0
  for at in places:
    bad = bytearray(content)
    bad[at] ^= int(rng.integers(1, 256))
    with open(shard_of(copy), "wb") as f:
      f.write(bad)
    try:
      got = read_all(copy)
    except damage.DamagedError as error:
      named += 1
      assert f"{shard_of(copy)}: row {error.row} of split train" in str(error)
      assert "\n" not in str(error)
      with pytest.raises(damage.DamagedError, match=f"row {error.row} "):
        pipeline.open_split(copy, "train").read([error.row], SIGNALS)
      continue
    silent += 1
    for name in want:
      np.testing.assert_array_equal(got[name], want[name])
  assert named >= 25 and named + silent == 40


@pytest.mark.parametrize("keep", [0, 1, 30_000, 65_536, 70_000, -1])
def test_a_shard_that_ends_early(copy, keep):
  with open(shard_of(copy), "rb") as f:
    content = f.read()
  with open(shard_of(copy), "wb") as f:
    f.write(content[:keep])
  with pytest.raises(damage.DamagedError, match="row 0 of split train"):
    read_all(copy)


def test_a_missing_shard(copy):
  os.remove(shard_of(copy))
  with pytest.raises(damage.DamagedError, match="row 0 .*No such file"):
    read_all(copy)


def test_the_row_that_is_hurt_is_the_row_that_is_named(copy):
  hurt(copy, 13)
  split = pipeline.open_split(copy, "train")
  with pytest.raises(damage.DamagedError, match="row 13 of split train "):
    split.read([2, 13, 5], SIGNALS)
  with pytest.raises(damage.DamagedError, match="row 13 of split train "):
    split.table  # noqa: B018
  assert len(split.read([2, 12, 14], SIGNALS)["acc"]) == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -1.0])
def test_a_scale_that_cannot_be(copy, value):
  rewrite(copy, 4, put_scale([1, value, 1]))
  split = pipeline.open_split(copy, "train")
  with pytest.raises(damage.DamagedError, match=re.escape(
      f"row 4 of split train acc/scale is [1.0, {value}, 1.0], want finite"
  )):
    split.read([3, 4], SIGNALS)
  split.read([3, 4], ("ppg",))


@pytest.mark.parametrize("column", ["labels/hr_bpm", "attributes/age_years"])
def test_an_infinite_label(copy, column):
  def change(feature):
    feature[column].float_list.value[0] = -np.inf

  rewrite(copy, 4, change)
  with pytest.raises(damage.DamagedError, match=f"row 4 .*{column} is -inf"):
    read_all(copy)


# --- replaced ----------------------------------------------------------------


def open_share(folder, share):
  return joined.open_joined([folder], "train", share)


def take(folder, start, count, local=slice(None), pairs=False, size=6,
         share=0.34, workers=0):
  """(batches, the ledger) of a data set of which a third may be damaged."""
  split = open_share(folder, share)
  found = batches.train_batches(
      split, SIGNALS, samplers.make(split, size, 5, (1.0,), pairs), start,
      local, workers=workers, extra=lambda rows: {"rows": rows},
  )
  with contextlib.closing(found):
    return list(itertools.islice(found, count)), split.ledger


def test_replaced_rows_are_others_of_the_same_person(written, copy, capsys):
  before, _ = take(written, 0, 7)
  assert "damaged" not in capsys.readouterr().out
  hurt(copy, 3, 4, 13)
  made, ledger = take(copy, 0, 7)
  split = pipeline.open_split(written, "train")
  first, count = split.people
  for old, new in zip(before, made, strict=True):
    for place, (was, now) in enumerate(
        zip(old["rows"], new["rows"], strict=True)
    ):
      if was not in (3, 4, 13):
        assert now == was
        continue
      # By hand: the next whole row of the person that is not in the batch.
      (person,) = np.flatnonzero((first <= was) & (was < first + count))
      mine = list(range(first[person], first[person] + count[person]))
      at = mine.index(was)
      around = mine[at + 1:] + mine[:at]
      free = [r for r in around if r not in (3, 4, 13, *old["rows"])]
      if free:
        assert now == free[0]
      assert now not in (3, 4, 13)
      np.testing.assert_array_equal(
          new["ppg"][place], split.read([now], SIGNALS)["ppg"][0]
      )
  assert len(ledger) == 3
  assert ledger.counts() == {"train/damaged_rows": 3}
  said = capsys.readouterr().out
  for row in (3, 4, 13):
    assert said.count(f"row {row} of split train") == 1
  assert "of at most 7, replaced" in said


@pytest.mark.parametrize("pairs", [False, True])
def test_batches_with_damage_are_a_function_of_their_number(
    copy, monkeypatch, pairs
):
  hurt(copy, 0, 3, 4, 13)
  size = 4
  whole, _ = take(copy, 0, 8, pairs=pairs, size=size)
  again, _ = take(copy, 5, 3, pairs=pairs, size=size)
  for k, batch in enumerate(again):  # a restart, which knows of no damage yet
    same(batch, whole[5 + k])
  monkeypatch.setattr(mesh.jax, "process_count", lambda: 2)
  parts = []
  for process in range(2):
    monkeypatch.setattr(mesh.jax, "process_index", lambda p=process: p)
    parts.append(take(copy, 0, 8, mesh.local_rows(size), pairs, size)[0])
  for k, batch in enumerate(whole):
    np.testing.assert_array_equal(batch["acc"], np.concatenate(
        [part[k]["acc"] for part in parts]
    ))


@pytest.mark.full
def test_what_workers_meet_is_known_to_all(copy, capfd):
  hurt(copy, 3, 4, 13)
  want, _ = take(copy, 0, 7)
  capfd.readouterr()
  found, ledger = take(copy, 0, 7, workers=2)
  for old, new in zip(want, found, strict=True):
    same(old, new)
  assert ledger.counts() == {"train/damaged_rows": 3}
  assert capfd.readouterr().out.count("damaged row") == 3  # once each
  with pytest.raises(damage.DamagedError, match="row (3|4|13) of split train"):
    take(copy, 0, 7, workers=1, share=0.0)


def test_pairs_stay_two_rows_of_one_person(written, copy):
  split = pipeline.open_split(written, "train")
  first, count = split.people
  lost = first[0] + np.arange(count[0] - 1)  # the first person keeps one row
  hurt(copy, *lost.tolist(), int(first[1]))
  made, _ = take(copy, 0, 9, pairs=True, size=3)
  stored = split.read(range(len(split)), SIGNALS)["ppg"]
  for batch in made:
    for row, paired in zip(batch["rows"], batch["pair"]["ppg"], strict=True):
      (other,) = np.flatnonzero((stored == paired).all(axis=(1, 2)))
      assert split.participant(row) == split.participant(other) and row != other
      assert split.participant(row) != split.participant(0)
    people = [split.participant(row) for row in batch["rows"]]
    assert len(set(people)) == 3


PEOPLE = np.array([0, 3, 5, 6]), np.array([3, 2, 1, 4])  # 10 rows of four


@pytest.mark.parametrize("group, damaged, drawn, only, want", [
    ([1], {1}, [1, 9], None, [2]),
    ([2], {2}, [2, 9], None, [0]),  # around
    ([1], {1, 2}, [1, 0], None, [3]),  # 0 is in the batch: the next person
    ([5], {5}, [5, 6], None, [7]),  # alone
    ([9], {9, 8, 7, 6, 0}, [9], None, [1]),  # the last person: the first one
    ([1], {1}, range(10), None, [2]),  # all are in the batch
    ([1], {1}, [1], [0, 1, 8], [0]),
    ([1], {1, 0}, [1], [0, 1, 8], [8]),
    ([1, 2], {2}, [1, 2], None, [1, 0]),
    ([1, 2], {1}, [1, 2], None, [2, 0]),
    ([3, 4], {4}, [3, 4], None, [6, 7]),  # the third person has one row
    ([3, 4], {4}, [3, 4, 8, 9], None, [0, 1]),  # the fourth is in the batch
    ([3, 4], {4}, [3, 4, 8, 9, 0, 1], None, [6, 7]),  # all are
])
def test_what_stands_in(group, damaged, drawn, only, want):
  got = damage.stand_in(group, damaged, np.array(drawn), PEOPLE, only)
  assert got == want


@pytest.mark.parametrize("apart, want", [
    (1, [3, 1]), (2, [3, 1]), (3, [3, 6]), (6, [0, 6]), (7, [7, 0]),
])
def test_a_pair_that_stands_in_shares_no_signal(apart, want):
  """Row 3 stays while another row of its person is far enough from it."""
  people = np.array([0, 10]), np.array([8, 11])
  damaged = {0} if apart < 6 else {3}
  group = [3, 0] if apart < 7 else [3, 7]
  drawn = np.array(group)
  got = damage.stand_in(group, damaged, drawn, people, apart=apart)
  assert abs(got[0] - got[1]) >= apart and not damaged & set(got)
  assert got == want


def test_nothing_is_left_to_stand_in():
  with pytest.raises(InputError, match="row 1 is damaged and no whole one"):
    damage.stand_in([1], set(range(10)), np.array([1]), PEOPLE)


def test_labelled_rows_are_replaced_by_labelled_ones(copy):
  hurt(copy, 3)
  split = open_share(copy, 0.1)
  draw = samplers.Chosen([3, 9, 10], 3, 0)(0)
  batch = batches.make_batch(
      split, SIGNALS, draw, extra=lambda rows: {"rows": rows}
  )
  assert sorted(batch["rows"]) == [9, 9, 10]


def test_more_than_may_be_damaged_stops(copy, capsys):
  hurt(copy, 1, 2, 3)
  split = open_share(copy, 0.1)  # 2 of 21
  split.read([5], SIGNALS)
  with pytest.raises(InputError, match=(
      "max_damaged_share: got 3 damaged of 21 rows, want at most 2"
  )):
    batches.make_batch(split, SIGNALS, samplers.Draw(np.arange(5)))
  assert capsys.readouterr().out.count("damaged row") == 3
  with pytest.raises(damage.DamagedError, match="row 1 of split train"):
    batches.make_batch(
        open_share(copy, 0.0), SIGNALS, samplers.Draw(np.arange(5))
    )
  for share in (-0.1, 1.0, float("nan")):
    with pytest.raises(InputError, match="max_damaged_share: got"):
      open_share(copy, share)


def test_a_table_of_training_knows_nothing_of_damaged_rows(written, copy):
  want = open_share(written, 0.0).table
  hurt(copy, 3)
  split = open_share(copy, 0.1)
  table = split.table
  assert split.ledger.counts() == {"train/damaged_rows": 1}
  whole = np.arange(21) != 3
  for name, column in want.items():
    assert table[name].dtype.kind == column.dtype.kind
    np.testing.assert_array_equal(table[name][whole], column[whole])
    lost = table[name][3]
    if name == "participant":
      assert lost == column[3]
    else:
      assert lost == "" if column.dtype.kind == "U" else np.isnan(lost)
  with pytest.raises(damage.DamagedError, match="row 3 of split train"):
    open_share(copy, 0.0).table  # noqa: B018


def test_rows_of_joined_data_sets_are_counted_by_their_joined_number(
    written, copy
):
  hurt(copy, 3)
  split = joined.open_joined([written, copy], "train", 0.1)
  assert len(batches.make_batch(
      split, SIGNALS, samplers.Draw(np.array([3, 21 + 3]))
  )["acc"]) == 2
  assert 24 in split.ledger and 3 not in split.ledger
  alone = pipeline.open_split(copy, "train")
  assert split.participant(24) == alone.participant(3)
  assert np.isnan(split.table["start_s"][24])
