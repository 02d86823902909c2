"""Checkpoints: whole or refused, newest and best kept, any topology."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from accfm.base import mesh as meshes
from accfm.base.errors import InputError
from accfm.steps import state as states
from accfm.train import checkpoints

TX = optax.adamw(0.1)
META = {"kind": "toy", "config": {"lr": 0.1}, "signals": ["acc"]}


def params(seed=0):
  rng = np.random.default_rng(seed)
  return {
      "encoder": {
          "w": rng.normal(size=(40, 30)).astype(np.float32),
          "b": rng.normal(size=30).astype(np.float32),
      },
      "log_temperature": np.float32(seed),
  }


def put(tree, devices=8):
  return meshes.put_replicated(tree, meshes.make_mesh(jax.devices()[:devices]))


def make_state(seed=0, devices=8):
  state = states.create(states.Objective(params(seed), None), TX)
  return put(state.replace(step=jnp.int32(seed)), devices)


def frozen(devices=8):
  return put({"teacher": {"w": np.arange(12, dtype=np.float32)}}, devices)


def assert_equal(got, want):
  got, want = jax.tree.leaves(got), jax.tree.leaves(want)
  assert len(got) == len(want)
  for a, b in zip(got, want, strict=True):
    assert a.dtype == b.dtype and a.shape == b.shape
    np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def fill(path, scores, **options):
  """Saves steps 1, 2, ... with a score each (None: not validated)."""
  with checkpoints.Checkpoints(path, best_metric="val/x", **options) as saver:
    for step, score in enumerate(scores, 1):
      metrics = None if score is None else {"val/x": score, "val/y": 0}
      saver.save(step, make_state(step), frozen(), META, metrics)
    saver.wait()
    return saver.steps()


@pytest.fixture(scope="module")
def three(tmp_path_factory):
  """A workdir with whole checkpoints of steps 1, 2, 3; 2 is the best."""
  path = tmp_path_factory.mktemp("run")
  assert fill(path / "checkpoints", [1, 5, 3], keep_latest=3) == [1, 2, 3]
  return path


@pytest.fixture
def copy(three, tmp_path):
  return shutil.copytree(three, tmp_path / "w")


def only_data_file(step_path):
  """The file that holds the parameters' bytes."""
  return max(step_path.glob("state/**/d/*"), key=lambda p: p.stat().st_size)


def flip_a_bit(path):
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 0x10
  path.write_bytes(data)


@pytest.mark.parametrize("saved_on, restored_on", [(8, 1), (1, 8), (8, 8)])
def test_restores_exactly_on_other_devices(tmp_path, saved_on, restored_on):
  with checkpoints.Checkpoints(tmp_path) as saver:
    saver.save(3, make_state(3, saved_on), frozen(saved_on), META)
  template, still = make_state(0, restored_on), frozen(restored_on)
  with checkpoints.Checkpoints(tmp_path) as saver:
    assert saver.latest() == 3
    step, state, teacher = saver.restore(template, still)
  assert step == 3
  assert_equal(state, make_state(3))
  assert_equal(teacher, frozen())
  assert isinstance(state, states.TrainState)
  assert len(state.params["encoder"]["w"].sharding.device_set) == restored_on


def test_donating_after_save_does_not_reach_the_checkpoint(tmp_path):
  big = {"w": np.ones((512, 512), np.float32)}

  def add_one(state):
    return jax.tree.map(lambda x: x + 1, state)

  overwrite = jax.jit(add_one, donate_argnums=0)
  with checkpoints.Checkpoints(tmp_path) as saver:
    state = put(states.create(states.Objective(big, None), TX), 1)
    saver.save(1, state, {}, META)
    for _ in range(5):
      state = overwrite(state)
  loaded = checkpoints.load(tmp_path)
  np.testing.assert_array_equal(loaded.params["w"], big["w"])


def test_load_gives_numpy_and_the_record(three):
  loaded = checkpoints.load(three)
  assert loaded.step == 3 and loaded.path == three / "checkpoints" / "3"
  assert all(type(x) is np.ndarray for x in jax.tree.leaves(loaded.params))
  assert_equal(loaded.params, params(3))
  assert_equal(loaded.frozen, frozen())
  assert loaded.meta["config"] == META["config"]
  assert loaded.meta["metrics"] == {"val/x": 3, "val/y": 0}


def test_load_takes_a_workdir_its_checkpoints_or_a_step(three):
  inner = three / "checkpoints"
  for given, step, want in [
      (three, "latest", 3),
      (inner, None, 3),
      (inner / "1", None, 1),
      (str(three), "best", 2),
      (inner, 1, 1),
      (inner, "2", 2),
  ]:
    assert checkpoints.load(given, step).step == want


def test_nothing_frozen_is_an_empty_dict(tmp_path):
  with checkpoints.Checkpoints(tmp_path) as saver:
    saver.save(1, make_state(1), {}, META)
    assert saver.restore(make_state(0), {})[2] == {}
  assert checkpoints.load(tmp_path).frozen == {}


@pytest.mark.parametrize(
    "options, scores, want",
    [
        (dict(keep_latest=2, keep_best=1), [1, 9, 2, 3, 4], [2, 4, 5]),
        (dict(keep_latest=1, keep_best=1), [9, None, None], [1, 3]),
        (dict(keep_latest=1, keep_best=2), [5, 1, 4, 2, 3], [1, 3, 5]),
        (dict(keep_latest=1, best_mode="min"), [5, 1, 4], [2, 3]),
        (dict(keep_latest=2, keep_best=0), [9, 1, 1, 1], [3, 4]),
        (dict(keep_latest=1), [1, float("nan"), 0, None], [1, 4]),
    ],
)
def test_keeps_the_latest_and_the_best(tmp_path, options, scores, want):
  assert fill(tmp_path, scores, **options) == want
  found = sorted(int(p.name) for p in tmp_path.iterdir())
  assert found == want


def test_the_best_survives_a_restart(tmp_path):
  assert fill(tmp_path, [9, 1, 2], keep_latest=1) == [1, 3]
  with checkpoints.Checkpoints(
      tmp_path, keep_latest=1, best_metric="val/x"
  ) as saver:
    saver.save(4, make_state(4), frozen(), META, {"val/x": 3})
    saver.wait()
    assert saver.steps() == [1, 4]
  assert checkpoints.load(tmp_path, "best").step == 1


def test_a_metric_that_was_not_measured_is_named(tmp_path):
  with checkpoints.Checkpoints(tmp_path, best_metric="val/z") as saver:
    with pytest.raises(InputError, match="best_metric: got 'val/z'.*val/x"):
      saver.save(1, make_state(1), {}, META, {"val/x": 1.0})
    saver.save(1, make_state(1), {}, META)


def flip(path):
  flip_a_bit(only_data_file(path))


def truncate(path):
  file = only_data_file(path)
  file.write_bytes(file.read_bytes()[:100])


def drop_file(path):
  only_data_file(path).unlink()


def drop_state(path):
  shutil.rmtree(path / "state")


def drop_record(path):
  (path / "record.json").unlink()


def drop_all(path):
  shutil.rmtree(path)
  path.mkdir()


def swap(path):
  """As if somebody had renamed an earlier step."""
  shutil.rmtree(path)
  shutil.copytree(path.with_name("1"), path)


@pytest.mark.parametrize("damage", [
    flip, truncate, drop_file, drop_state, drop_record, drop_all, swap,
])
def test_a_damaged_newest_is_named_and_the_one_before_used(
    copy, capfd, damage
):
  damage(copy / "checkpoints" / "3")
  with pytest.raises(checkpoints.DamagedError, match="checkpoints/3"):
    checkpoints.load(copy)
  with checkpoints.Checkpoints(copy / "checkpoints") as saver:
    step, state, _ = saver.restore(make_state(0), frozen())
    assert step == 2
    assert_equal(state, make_state(2))
    # The run goes on and writes that step again.
    saver.save(3, make_state(33), frozen(), META)
  err = capfd.readouterr().err
  assert "checkpoints/3" in err and "damaged-3" in err
  assert err.count("\n") == 1
  assert float(checkpoints.load(copy).params["log_temperature"]) == 33
  assert (copy / "checkpoints" / "damaged-3").is_dir()


def test_all_damaged_is_an_error_and_not_a_fresh_start(copy):
  for step in (1, 2, 3):
    flip(copy / "checkpoints" / str(step))
  with checkpoints.Checkpoints(copy / "checkpoints") as saver:
    with pytest.raises(InputError, match="no whole checkpoint"):
      saver.restore(make_state(0), frozen())


def test_a_half_written_newest_is_removed(copy):
  inner = copy / "checkpoints"
  shutil.copytree(inner / "3", inner / "4.orbax-checkpoint-tmp")
  assert checkpoints.load(copy).step == 3
  with checkpoints.Checkpoints(inner) as saver:
    assert saver.restore(make_state(0), frozen())[0] == 3
    saver.save(4, make_state(4), frozen(), META)
  assert not list(inner.glob("*tmp*"))
  assert checkpoints.load(copy).step == 4


def test_another_model_is_refused_and_nothing_is_set_aside(copy):
  other = {**params(0), "extra": np.zeros(3, np.float32)}
  wide = {**params(0), "log_temperature": np.zeros(2, np.float32)}
  with checkpoints.Checkpoints(copy / "checkpoints") as saver:
    for tree, want in [
        (other, "extra: got nothing, want float32"),
        (wide, "log_temperature: got float32.., want float32.2."),
    ]:
      with pytest.raises(InputError, match=want):
        other = states.create(states.Objective(tree, None), TX)
        saver.restore(put(other), frozen())
    assert saver.steps() == [1, 2, 3]


def test_missing_checkpoints_say_what_is_there(tmp_path, three):
  with pytest.raises(InputError, match="got nothing there"):
    checkpoints.load(tmp_path / "absent")
  with pytest.raises(InputError, match="it is empty"):
    checkpoints.load(tmp_path)
  (tmp_path / "notes.txt").write_text("")
  with pytest.raises(InputError, match="found notes.txt"):
    checkpoints.load(tmp_path)
  with pytest.raises(InputError, match="got a file"):
    checkpoints.load(tmp_path / "notes.txt")
  with pytest.raises(InputError, match=r"got step 7, want one of \[1, 2, 3\]"):
    checkpoints.load(three, 7)
  with checkpoints.Checkpoints(tmp_path / "new") as saver:
    assert saver.latest() is None
    with pytest.raises(InputError, match="no whole checkpoint"):
      saver.restore(make_state(0), frozen())
    saver.save(1, make_state(1), {}, META)
  with pytest.raises(InputError, match="got no step ranked by"):
    checkpoints.load(tmp_path / "new", "best")


def test_bad_options(tmp_path):
  with pytest.raises(InputError, match="keep_latest"):
    checkpoints.Checkpoints(tmp_path, keep_latest=0)
  with pytest.raises(InputError, match="best_mode"):
    checkpoints.Checkpoints(tmp_path, best_mode="most")
  (tmp_path / "file").write_text("")
  with pytest.raises(InputError, match="cannot be opened"):
    checkpoints.Checkpoints(tmp_path / "file" / "checkpoints")


def test_every_file_is_summed(three):
  path = three / "checkpoints" / "1"
  sums = json.loads((path / "checksums.json").read_text())
  items = {p for p in path.glob("*/**/*") if p.is_file()}
  items.add(path / "record.json")
  assert {path / name for name in sums} == items and len(items) > 8
