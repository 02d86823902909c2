"""Keys depend on name, step and row, and on nothing else."""

import zlib

import jax
import numpy as np

from accfm.base import keys, mesh

ROOT = jax.random.key(7)


def data(key):
  return np.asarray(jax.random.key_data(key)).tolist()


def test_stream_folds_name_and_indices_in_order():
  want = ROOT
  for number in (zlib.crc32(b"augment") % 2**31, 5, 9):
    want = jax.random.fold_in(want, number)
  assert data(keys.stream(ROOT, "augment", 5, 9)) == data(want)


def test_name_step_row_and_seed_each_matter():
  several = [
      keys.stream(ROOT, "augment", 1, 2),
      keys.stream(ROOT, "mask", 1, 2),
      keys.stream(ROOT, "augment", 2, 2),
      keys.stream(ROOT, "augment", 1, 3),
      keys.stream(ROOT, "augment", 2, 1),
      keys.stream(jax.random.key(8), "augment", 1, 2),
  ]
  assert len({str(data(key)) for key in several}) == len(several)


def test_rows_equal_a_loop_whatever_their_order():
  rows = np.array([3, 1_000_000, 0, 17], np.int32)
  got = data(keys.row_streams(ROOT, "mask", rows))
  want = [data(keys.stream(ROOT, "mask", int(row))) for row in rows]
  assert got == want
  assert data(keys.row_streams(ROOT, "mask", rows[::-1])) == want[::-1]


def test_same_draws_on_one_device_and_eight():
  rows = np.arange(16, dtype=np.int32)

  @jax.jit
  def draw(rows, step):
    return jax.vmap(jax.random.normal)(
        keys.row_streams(keys.stream(ROOT, "step", step), "noise", rows)
    )

  one = mesh.make_mesh(jax.devices()[:1])
  assert len(jax.devices()) == 8
  got = [draw(mesh.put_rows(rows, m), 3) for m in (one, mesh.make_mesh())]
  np.testing.assert_array_equal(*map(np.asarray, got))
  assert len(np.unique(got[0])) == 16
