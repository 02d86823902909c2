"""Each objective: one device against eight, oracles, what is frozen."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from accfm.base import mesh as meshes
from accfm.base.errors import InputError
from accfm.configs import acc_distill, ppg_mae
from accfm.signals import augment
from accfm.steps import distill, kinds, mae, towers
from accfm.steps.record import Record
from tests.losses import test_soft_targets
from tests.steps import wired
from tests.steps.wired import CONTRACT, B, build, one_step

# Float32 sums in another order: losses and gradients agree to this part of
# the largest.
TOLERANCE = 2e-5
# Batch norm divides by a small batch's SD, which makes more of the rounding.
NORM_TOLERANCE = 1e-4


# What shares every collective with another kind waits for --full; batch norm
# over eight devices is in tests/models/encoders/test_efficientnet1d.py too.
LONG = ("contrastive", "cosine", "mse", "soft", "efficientnet",
        "efficient_distill")


@pytest.mark.parametrize("kind", [
    pytest.param(k, marks=[pytest.mark.full] * (k in LONG)) for k in wired.KINDS
])
def test_eight_devices_make_the_step_of_one(kind):
  """The same batch, augmented by the same key, in one piece and in eight."""
  made = build(kind)
  params, frozen = made.params, made.frozen
  state, metrics, frozen_after = one_step(made)
  others_state, others, _ = one_step(made, devices=8)
  one, eight = state.params, others_state.params
  assert metrics.keys() == others.keys() >= {"loss", "grad_norm"}
  normed = bool(state.carried.get("batch_stats"))
  for name in metrics:
    # Batch norm leaves untrained rows alike: rounding may swap two of them.
    swaps = 1.01 / B if normed and name == "recall@1" else 0.0
    np.testing.assert_allclose(
        others[name], metrics[name], rtol=1e-4, atol=swaps
    )
  grads = [
      jax.tree.leaves(jax.tree.map(lambda a, b: np.asarray(b) - a, x, params))
      for x in (one, eight)
  ]
  largest = max(np.abs(g).max() for g in grads[0])
  assert largest > 0 and np.isfinite(largest)
  for a, b in zip(*grads, strict=True):
    assert np.isfinite(a).all()
    near = NORM_TOLERANCE if normed else TOLERANCE
    np.testing.assert_allclose(b, a, atol=near * largest)
  for a, b in zip(jax.tree.leaves(state.carried),
                  jax.tree.leaves(others_state.carried), strict=True):
    np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
  # All that is trained is moved, all that is frozen is left.
  path = jax.tree_util.tree_flatten_with_path(one)[0]
  moved = {jax.tree_util.keystr(p): np.abs(g).max()
           for (p, _), g in zip(path, grads[0], strict=True)}
  still = [name for name, size in moved.items() if size == 0]
  assert not [name for name in still if "kernel" in name], still
  for a, b in zip(jax.tree.leaves(frozen), jax.tree.leaves(frozen_after),
                  strict=True):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("weight", [1.0, 0.5, 0.0])
def test_distillation_against_an_oracle(weight):
  """w InfoNCE(student -> teacher) + (1 - w) InfoNCE(teacher -> student)."""
  config = wired.distill_config(student_weight=weight, temperature=0.1)
  made = wired.make_distill(config)
  _, metrics, _ = one_step(made)
  s, t = wired.projections(config, made.params, made.frozen)
  want = weight * wired.infonce_oracle(s, t, 0.1)
  want += (1 - weight) * wired.infonce_oracle(t, s, 0.1)
  assert metrics["loss"] == pytest.approx(want, rel=1e-4)
  assert metrics["temperature"] == np.float32(0.1)
  nearest = [np.argmax(t @ q) == i for i, q in enumerate(s)]
  assert metrics["recall@1"] == pytest.approx(np.mean(nearest), abs=1e-6)


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_soft_targets_against_an_oracle(weight):
  """Cross-entropy with (1 - w) own + w softmax of the teacher's cosines."""
  config = wired.distill_config(
      student_weight=weight, temperature=0.02, soft_weight=0.4,
      soft_temperature=0.2,
  )
  made = wired.make_distill(config)
  _, metrics, _ = one_step(made)
  s, t = wired.projections(config, made.params, made.frozen)
  batch = wired.make_batch()
  tower = towers.from_checkpoint(
      made.params, {}, made.frozen, wired.distilled(config)
  )["ppg"]
  x = np.float64(jax.jit(type(tower).embed)(
      tower, batch["ppg"], batch["ppg_scale"]
  ))
  x = x - x.mean(0)
  x /= np.linalg.norm(x, axis=1, keepdims=True)

  def cross_entropy(query, keys):
    total = 0.0
    for i in range(B):
      z = np.array([np.float64(query[i]) @ np.float64(k) / 0.02 for k in keys])
      log_p = z - np.log(np.exp(z).sum())
      alike = np.array([np.exp(x[i] @ other / 0.2) for other in x])
      target = 0.4 * alike / alike.sum()
      target[i] += 0.6
      total -= target @ log_p
    return total / B

  want = weight * cross_entropy(s, t) + (1 - weight) * cross_entropy(t, s)
  assert metrics["loss"] == pytest.approx(want, rel=3e-5)
  plain = weight * wired.infonce_oracle(s, t, 0.02)
  plain += (1 - weight) * wired.infonce_oracle(t, s, 0.02)
  assert abs(want - plain) > 2 * 3e-5 * want


@pytest.mark.parametrize("devices, block", [(1, 0), (8, 0), (8, 1)])
def test_soft_targets_of_the_global_batch(devices, block):
  """Each row's loss, whatever device holds it, against the double loop."""
  rng = np.random.default_rng(0)
  s, t, x = (rng.normal(size=(B, d)).astype(np.float32) for d in (6, 6, 9))
  s, t = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (s, t))
  loss = distill.make_loss(
      "contrastive", lambda params, carried, key, batch: (batch["s"], carried),
      lambda params, carried, frozen, key, batch: (
          jnp.concatenate([batch["t"], batch["x"]], axis=1), carried),
      0.2, 0.3, block, distill.Soft(0.4, 0.5),
  )
  rows = PartitionSpec(meshes.ROW_AXES)
  got = jax.jit(jax.shard_map(
      lambda batch: loss({}, {}, {}, batch, None)[0],
      mesh=meshes.make_mesh(jax.devices()[:devices]), in_specs=(rows,),
      out_specs=rows, check_vma=False,
  ))({"s": s, "t": t, "x": x})
  x = np.float64(x) - np.float64(x).mean(0)
  x /= np.linalg.norm(x, axis=1, keepdims=True)
  there, back = (
      test_soft_targets.oracle(a, b, x, x, 0.2, 0.5, 0.4)[0]
      for a, b in ((s, t), (t, s))
  )
  np.testing.assert_allclose(got, 0.3 * there + 0.7 * back, rtol=1e-4)


def test_a_learned_temperature_moves_and_is_bounded():
  config = wired.distill_config(learn_temperature=True, temperature=0.1)
  made = wired.make_distill(config)
  params, frozen = made.params, made.frozen
  assert float(params["log_temperature"]) == pytest.approx(np.log(0.1))
  state, metrics, _ = one_step(made)
  after = state.params
  assert metrics["temperature"] == pytest.approx(0.1)
  # The gradient of the oracle by its own temperature.
  s, t = wired.projections(config, params, frozen)

  def value(log_tau):
    tau = np.exp(log_tau)
    w = config.student_weight
    back = wired.infonce_oracle(t, s, tau)
    return w * wired.infonce_oracle(s, t, tau) + (1 - w) * back

  start, h = np.log(0.1), 1e-4
  slope = (value(start + h) - value(start - h)) / (2 * h)
  moved = float(after["log_temperature"]) - start
  assert moved == pytest.approx(-slope, rel=1e-2)
  params = {**params, "log_temperature": jnp.log(jnp.float32(1e-6))}
  _, metrics, _ = one_step(dataclasses.replace(made, params=params))
  assert metrics["temperature"] == pytest.approx(0.01)


def test_no_gradient_reaches_the_frozen_teacher():
  made = build("distill")
  params, frozen, loss = made.params, made.frozen, made.loss
  assert set(frozen) == {"teacher"} and "teacher" not in params
  assert set(params) == {"student", "student_head", "teacher_head"}
  mesh = meshes.make_mesh(jax.devices()[:1])
  whole, rows = PartitionSpec(), PartitionSpec(meshes.ROW_AXES)
  mean = jax.shard_map(
      lambda f, batch: jax.lax.pmean(
          loss(params, {}, f, batch, jax.random.key(0))[0].mean(),
          meshes.ROW_AXES,
      ),
      mesh=mesh, in_specs=(whole, rows), out_specs=whole,
  )
  grads = jax.jit(jax.grad(mean))(frozen, wired.make_batch())
  assert all((np.asarray(g) == 0).all() for g in jax.tree.leaves(grads))


def test_a_step_repeats_and_the_next_one_draws_anew():
  made = build("contrastive")
  losses = [float(one_step(made, at=at)[1]["loss"]) for at in (0, 0, 1)]
  assert losses[0] == losses[1] != losses[2]


# --- masking -----------------------------------------------------------------


def test_masks_are_keyed_by_row_and_hide_the_stated_share():
  key = jax.random.key(0)
  keep, restore, hidden = map(
      np.asarray, mae.draw_masks(key, np.arange(200), 20, 4)
  )
  assert keep.shape == (200, 4) and hidden.shape == restore.shape == (200, 20)
  for row in range(200):
    assert len(set(keep[row])) == 4
    assert set(np.flatnonzero(hidden[row] == 0)) == set(keep[row])
    hid = [p for p in range(20) if hidden[row, p]]
    placed = np.array([*keep[row], *[-1] * 16])[restore[row]]
    for patch in range(20):
      assert placed[patch] == (-1 if patch in hid else patch)
  counts = np.bincount(keep.ravel(), minlength=20)
  assert abs(counts - 40).max() < 5 * 6
  some = np.array([7, 3, 150])
  np.testing.assert_array_equal(mae.draw_masks(key, some, 20, 4)[0],
                                keep[some])


@pytest.mark.parametrize("normalize_target", [False, True])
def test_masked_autoencoding_against_a_loop(normalize_target):
  """An encoder that says nothing, a decoder that says 0.5 everywhere."""
  x = np.random.default_rng(0).normal(size=(4, 40, 2)).astype(np.float32)
  loss = mae.make_loss(
      encode=lambda params, x, keep, *_: jnp.zeros((4, keep.shape[1], 3)),
      decode=lambda params, visible, restore: jnp.full((4, 10, 8), 0.5),
      prepare=lambda key, batch, view: batch["x"],
      patchify=lambda x: x.reshape(4, 10, 8), length=10, mask_ratio=0.7,
      normalize_target=normalize_target,
  )
  key = jax.random.key(0)
  rows = np.arange(4)
  losses, _, _ = loss({}, {}, {}, {"x": x, "row": rows}, key)
  keep, _, _ = mae.draw_masks(key, rows, 10, 3)
  for b in range(4):
    errors = []
    for patch in range(10):
      target = x[b, 4 * patch:4 * patch + 4].ravel()
      if normalize_target:
        target = (target - target.mean()) / np.sqrt(target.var() + 1e-6)
      if patch not in np.asarray(keep[b]):
        errors.append(np.mean((target - 0.5) ** 2))
    assert len(errors) == 7
    assert losses[b] == pytest.approx(np.mean(errors), rel=1e-4)


# --- what cannot be wired ----------------------------------------------------


@pytest.mark.parametrize("ratio", [0.0, 1.0, 0.99, -0.5])
def test_a_mask_ratio_that_hides_nothing_or_all(ratio):
  with pytest.raises(InputError, match=f"mask_ratio: got {ratio}, which"):
    mae.make_loss(None, None, None, None, 16, ratio, False)


def test_unknown_objective():
  config = ppg_mae.get_config("tiny")
  config.objective = "gan"
  with pytest.raises(InputError, match="objective: got 'gan', want one of"):
    kinds.of_config(config, "pretrain")


def test_pairs_that_would_lose_their_alignment():
  shifted = augment.preset("acc", time_shift=dict(prob=1.0))
  with pytest.raises(InputError, match="time_shift: got .* want the same"):
    distill.check_together(shifted, augment.resolve(augment.off(), "ppg"))
  other = augment.preset("ppg", time_shift=dict(prob=1.0, max_share=0.1))
  with pytest.raises(InputError, match="alignment"):
    distill.check_together(shifted, other)
  parts = acc_distill.get_config("tiny").augment
  for kind in ("ppg", "ecg"):  # whatever the teacher reads
    distill.check_together(
        augment.resolve(parts.student, "acc"),
        augment.resolve(parts.teacher, kind),
    )


def test_an_unknown_checkpoint_kind():
  with pytest.raises(InputError, match="checkpoint kind: got 'gan'"):
    towers.from_checkpoint({}, {}, {}, Record("gan", {}, ("acc",), CONTRACT))
