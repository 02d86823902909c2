"""Every row once, whatever the batch and the number of devices."""

import jax
import numpy as np
import pytest

from accfm.base import mesh as meshlib
from accfm.base.errors import InputError
from accfm.evals.embedding import forward
from tests.evals import toy


@pytest.mark.parametrize("batch, devices", [
    (1, 1), (8, 8), (10, 8), (16, 4), (35, 1), (1000, 8),
])
def test_rows_equal_a_loop(batch, devices):
  split = toy.Split(people=5, each=7)
  towers = toy.make_towers(split)
  mesh = meshlib.make_mesh(jax.devices()[:devices])
  got = forward.embed_split(towers, split, batch, mesh)
  for name, tower in towers.items():
    want = np.stack([
        (split.values[name][i].astype(float) * 1e-3).reshape(-1)
        @ np.asarray(tower.weights, float) for i in range(len(split))
    ])
    vectors = got.signals[name]
    np.testing.assert_allclose(vectors["embedding"], want, rtol=2e-3,
                               atol=2e-3)
    size = np.linalg.norm(want, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors["projection"], want / size, atol=1e-3)
  assert got.table["participant"].tolist() == split.table[
      "participant"].tolist()


def test_chosen_rows_come_in_their_order():
  split = toy.Split()
  towers = toy.make_towers(split, head=False)
  every = forward.embed_split(towers, split, 16)
  some = forward.embed_split(towers, split, 16, rows=[7, 3, 30])
  assert every.signals["acc"]["projection"] is None
  np.testing.assert_allclose(
      some.signals["acc"]["embedding"],
      every.signals["acc"]["embedding"][[7, 3, 30]], rtol=1e-5, atol=1e-5,
  )
  assert some.table["start_s"].tolist() == split.table["start_s"][
      [7, 3, 30]].tolist()


def test_each_row_is_read_as_often_as_needed():
  split, reads = toy.Split(), []
  read = split.read
  split.read = lambda rows, signals: reads.append(list(rows)) or read(
      rows, signals)
  forward.embed_split(toy.make_towers(split), split, 16)
  flat = sum(reads, [])
  assert len(flat) == 48  # 35 rows in batches of 16: 13 of padding
  assert sorted(set(flat)) == list(range(35))


@pytest.mark.parametrize("head", [True, False])
def test_bytes_of_a_row_are_those_of_what_is_given(head):
  split = toy.Split()
  towers = toy.make_towers(split, head=head)
  found = forward.embed_split(towers, split, 16).signals
  assert forward.row_bytes(towers, split.contract) * len(split) == sum(
      x.nbytes for kinds in found.values() for x in kinds.values()
      if x is not None
  )


def test_nan_names_the_rows():
  split = toy.Split()
  split.values["acc_scale"][[4, 9]] = np.nan
  with pytest.raises(InputError, match="toy/p000 at 1016.000 s.*toy/p001"):
    forward.embed_split(toy.make_towers(split), split, 16)


def test_no_rows():
  split = toy.Split()
  with pytest.raises(InputError, match="0 rows"):
    forward.embed_split(toy.make_towers(split), split, 16, rows=[])
