"""A bad step: found, rolled back, its batch left out, exactly and for good."""

import json
import math

import jax.numpy as jnp
import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.train import checkpoints, guard, loop, writer
from tests.train import toy_main as toy

TIMED = ("segments_per_s", "data_wait_share", "time_left_s")


def rows(path):
  return [
      {n: v for n, v in row.items() if not n.endswith(TIMED)}
      for row in writer.load_rows(path)
  ]


def without(monkeypatch, *batches):
  """The toy's batches as if some had never been there."""
  whole = toy.batch_numpy

  def batch(seed, k):
    return whole(seed, [i for i in range(40) if i not in batches][k])

  monkeypatch.setattr(toy, "batch_numpy", batch)


def check_same(a, b, left, right):
  one, two = toy.leaves(left), toy.leaves(right)
  for name in one:
    assert one[name].tobytes() == two[name].tobytes(), name
  assert rows(a) == rows(b)


@pytest.mark.parametrize("bad, devices", [(8, 1), (2, 8)])
def test_a_run_that_skips_ends_as_one_that_never_had_the_batch(
    tmp_path, monkeypatch, capsys, bad, devices
):
  """Batch 8 after two checkpoints; batch 2 before the first."""
  a, b = tmp_path / "a", tmp_path / "b"
  config = toy.get_config(nan_at=bad, on_bad_step="skip")
  got = toy.run(a, config, devices)
  said = capsys.readouterr().out
  back = "the checkpoint of step 8" if bad == 8 else "the start"
  assert (
      f"warning: step {bad + 1}: got loss nan and gradient norm nan; goes "
      f"back to {back} and leaves out batch {bad} (1 of at most 10) of rows "
      f"{16 * bad}, {16 * bad + 1}, "
  ) in said and "16 in all of toy/a, toy/b; " in said
  (record,) = json.loads((a / "skipped.json").read_text())
  assert record["batch"] == bad and record["step"] == bad + 1
  assert record["rows"] == list(range(16 * bad, 16 * bad + 16))
  assert checkpoints.load(a).meta["skipped"] == [record]
  without(monkeypatch, bad)
  want = toy.run(b, toy.get_config(), devices)
  check_same(a, b, got, want)


def poison(monkeypatch, *batches):
  """Puts a NaN into some of the toy's batches."""
  whole = toy.batch_numpy

  def batch(seed, k):
    out = whole(seed, k)
    if k in batches:
      out["x"][0, 0] = np.nan
    return out

  monkeypatch.setattr(toy, "batch_numpy", batch)


def test_enough_is_enough_and_the_next_run_may_skip_more(
    tmp_path, monkeypatch, capsys
):
  """Stopped at the first bad step, then at the third, then by SIGTERM."""
  a, b = tmp_path / "a", tmp_path / "b"
  plain = toy.batch_numpy
  poison(monkeypatch, 5, 6, 9)
  with pytest.raises(loop.NonFiniteError, match="set --config.on_bad_step"):
    toy.run(a, toy.get_config())
  assert not (a / "skipped.json").exists()
  with pytest.raises(loop.NonFiniteError, match=(
      "step 8: got loss nan .*2 batches are left out already, as many as "
      "--config.max_skipped=2 allows"
  )):
    toy.run(a, toy.get_config(on_bad_step="skip", max_skipped=2))
  records = json.loads((a / "skipped.json").read_text())
  assert [r["batch"] for r in records] == [5, 6]
  assert checkpoints.load(a).step == 4
  config = toy.get_config(on_bad_step="skip", sigterm_at=9)
  with pytest.raises(loop.Preempted):
    toy.run(a, config)
  # The checkpoint alone knows it too; and to stop from now on changes
  # nothing of what is left out.
  (a / "skipped.json").unlink()
  got = toy.run(a, toy.get_config())
  monkeypatch.setattr(toy, "batch_numpy", plain)
  without(monkeypatch, 5, 6, 9)
  check_same(a, b, got, toy.run(b, toy.get_config()))
  assert "(3 of at most 10)" in capsys.readouterr().out


def sensitive(params, carried, frozen, batch, key):
  """The toy's loss, large where inputs are."""
  losses, *rest = toy.loss_fn(params, carried, frozen, batch, key)
  return losses + jnp.maximum(jnp.abs(batch["x"]).max(axis=1) - 50, 0), *rest


def test_a_spike_is_a_bad_step_also_for_a_resumed_run(
    tmp_path, monkeypatch, capsys
):
  """The losses that it is compared with are those before the checkpoint."""
  a, b = tmp_path / "a", tmp_path / "b"
  bad = dict(spike_at=18, total_steps=22, spike_factor=1.5)
  with pytest.raises(guard.BadStepError, match=(
      r"step 19: got loss \d{3,4}\.\d+, want at most 1.5 times \d\.\d+, the "
      "median of the 18 before; the checkpoint of step 16 is kept"
  )) as error:
    toy.run(a, toy.get_config(**bad), loss_fn=sensitive)
  assert not isinstance(error.value, loop.NonFiniteError)
  assert len(checkpoints.load(a).meta["losses"]) == 16
  config = toy.get_config(**bad, on_bad_step="skip")
  got = toy.run(a, config, loss_fn=sensitive)
  assert "warning: step 19: got loss " in capsys.readouterr().out
  without(monkeypatch, 18)
  config = toy.get_config(total_steps=22)
  check_same(a, b, got, toy.run(b, config, loss_fn=sensitive))


def spikes(losses, factor):
  """Steps that are spikes: each loss against a sorted copy of those before."""
  kept, out = [], []
  for step, loss in enumerate(losses, 1):
    before = sorted(kept[-64:])
    n = len(before)
    middle = (before[n // 2] + before[(n - 1) // 2]) / 2 if n else 0
    if n >= 16 and middle > 0 and loss > factor * middle:
      out.append(step)
    else:
      kept.append(loss)
  return out


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_running_median(tmp_path, shift):
  """Also when each loss is judged by a guard that has just resumed."""
  losses = np.random.default_rng(0).lognormal(sigma=0.7, size=300) - shift
  config = toy.get_config(spike_factor=3.0)
  judge = guard.Guard(tmp_path, config)
  found, meta = [], {}
  for step, loss in enumerate(losses, 1):
    if step % 7 == 0:
      judge = guard.Guard(tmp_path, config)
      judge.resume(json.loads(json.dumps(meta)))
    try:
      judge.judge(step, {"loss": float(loss), "grad_norm": 1.0}, 0)
    except guard.BadStepError:
      found.append(step)
    meta = judge.meta()
  assert found == spikes(losses.tolist(), 3.0) and len(found) > 5


def test_batches_keep_their_order_around_those_left_out(tmp_path):
  rng = np.random.default_rng(1)
  for _ in range(20):
    out = rng.choice(30, size=rng.integers(8), replace=False).tolist()
    (tmp_path / "skipped.json").write_text(
        json.dumps([{"batch": k} for k in out])
    )
    found = guard.Guard(tmp_path, toy.get_config())
    left = [k for k in range(60) if k not in out]
    assert [found.number(k) for k in range(30)] == left[:30]
    assert found.sampler(lambda k: -k)(7) == -left[7]


TORN = [
    "[{", "[3]", '[{"step": 2}]', '{"a": 1}', "3", "null", "", '"text"',
    '[{"batch": "2"}]', '[{"batch": true}]', '[{"batch": 2.0}]',
    '[{"batch": NaN}]', '[{"batch": 1e999}]', '[{"batch": -1}]',
    '[{"batch": null}]', '[{"batch": [2]}]', '[{"batch": 3000000000}]',
    '[{"batch": ' + "9" * 5000 + "}]", "[" * 100_000, "[[[[2]]]]",
    '[{"batch": 1}, null]', "[{}]", "\0",
]


@pytest.mark.parametrize("text", TORN)
def test_a_torn_record_is_one_line(tmp_path, text):
  (tmp_path / "skipped.json").write_text(text)
  with pytest.raises(InputError, match="skipped.json") as error:
    guard.Guard(tmp_path, toy.get_config())
  assert "\n" not in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize("skipped", [3, "2", {"batch": 1}, [3], [{}], [
    {"batch": "1"}]])
def test_a_torn_record_in_a_checkpoint_is_one_line(tmp_path, skipped):
  made = guard.Guard(tmp_path, toy.get_config())
  with pytest.raises(InputError, match="record: skipped: got"):
    made.resume({"skipped": skipped})


def test_a_folder_or_no_text_in_place_of_the_record(tmp_path):
  (tmp_path / "skipped.json").write_bytes(b"\xff\xfe[]")
  with pytest.raises(InputError, match="skipped.json: got text in UTF-16"):
    guard.Guard(tmp_path, toy.get_config())
  (tmp_path / "skipped.json").unlink()
  (tmp_path / "skipped.json").mkdir()
  with pytest.raises(InputError, match="skipped.json: got a folder"):
    guard.Guard(tmp_path, toy.get_config())


@pytest.mark.parametrize("field, value", [
    ("on_bad_step", "go on"), ("max_skipped", -1), ("spike_factor", 1.0),
    ("spike_factor", -2.0), ("spike_factor", math.nan),
    ("spike_factor", math.inf),
])
def test_bad_configs(field, value):
  with pytest.raises(InputError, match=f"{field}: got"):
    guard.check(toy.get_config(**{field: value}))
