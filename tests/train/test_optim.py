"""The optimiser against its formulas, written out with NumPy."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

from accfm.base.errors import InputError
from accfm.train import optim


def config(**overrides):
  fields = dict(
      lr=0.1,
      weight_decay=0.3,
      warmup_steps=3,
      total_steps=8,
      clip_norm=0.5,
      b1=0.8,
      b2=0.95,
      lr_floor=0.1,
  )
  return ml_collections.ConfigDict({**fields, **overrides})


def slow_schedule(cfg, count):
  if count < cfg.warmup_steps:
    return cfg.lr * (count + 1) / cfg.warmup_steps
  t = (count - cfg.warmup_steps) / (cfg.total_steps - cfg.warmup_steps)
  low = cfg.lr * cfg.lr_floor
  return low + (cfg.lr - low) * (1 + np.cos(np.pi * min(t, 1))) / 2


def test_schedule_warms_up_to_lr_and_ends_at_the_floor():
  cfg = config()
  _, schedule = optim.make_optimizer(cfg)
  traced = jax.jit(schedule)
  for count in range(12):
    want = slow_schedule(cfg, count)
    np.testing.assert_allclose(schedule(count), want, rtol=1e-6)
    np.testing.assert_allclose(traced(jnp.int32(count)), want, rtol=1e-5)
  np.testing.assert_allclose(schedule(2), cfg.lr)
  np.testing.assert_allclose(schedule(8), 0.1 * cfg.lr, rtol=1e-6)


def test_updates_match_adamw_by_hand():
  cfg = config()
  tx, _ = optim.make_optimizer(cfg)
  rng = np.random.default_rng(0)
  want = {"w": rng.normal(size=(3, 2)), "b": rng.normal(size=2), "t": 0.7}
  params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), want)
  state, update = tx.init(params), jax.jit(tx.update)
  mean = {n: 0.0 for n in want}
  square = {n: 0.0 for n in want}
  for step in range(6):
    scale = 0.01 if step % 2 else 3.0  # below and above the clip
    grads = {n: scale * rng.normal(size=np.shape(x)) for n, x in want.items()}
    updates, state = update(
        jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), grads),
        state,
        params,
        grad_norm=np.sqrt(sum((g**2).sum() for g in grads.values())),
    )
    params = jax.tree.map(jnp.add, params, updates)

    norm = np.sqrt(sum((g**2).sum() for g in grads.values()))
    rate = slow_schedule(cfg, step)
    for n, g in grads.items():
      g = g * min(1, cfg.clip_norm / norm)
      mean[n] = cfg.b1 * mean[n] + (1 - cfg.b1) * g
      square[n] = cfg.b2 * square[n] + (1 - cfg.b2) * g**2
      unit = mean[n] / (1 - cfg.b1 ** (step + 1))
      unit = unit / (np.sqrt(square[n] / (1 - cfg.b2 ** (step + 1))) + 1e-8)
      decay = cfg.weight_decay * want[n] if n == "w" else 0
      want[n] = want[n] - rate * (unit + decay)
  for n in want:
    np.testing.assert_allclose(params[n], want[n], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("clip_norm, share", [(0.0, 1.0), (1.0, 0.5)])
def test_zero_by_config_is_no_clipping(clip_norm, share):
  tx, _ = optim.make_optimizer(config(clip_norm=clip_norm))
  params = {"w": jnp.ones((2, 2))}
  grads = {"w": jnp.ones((2, 2))}  # norm 2
  _, state = tx.update(grads, tx.init(params), params, grad_norm=2.0)
  mean = optax.tree.get(state, "mu")["w"]
  np.testing.assert_allclose(mean, share * (1 - 0.8) * grads["w"], rtol=1e-6)


HOLD = 3


def network(seed):
  rng = np.random.default_rng(seed)
  draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
  return {
      "encoder": {"w": draw(3, 2), "b": draw(2)}, "predictor": {"w": draw(2, 1)}
  }


def run(tx, steps=5):
  """[(params before, gradients, updates)] of each step, and the last state."""
  params, out = network(0), []
  state, update = tx.init(params), jax.jit(tx.update)
  for step in range(steps):
    grads = network(1 + step)
    updates, state = update(
        grads, state, params, grad_norm=optax.tree.norm(grads)
    )
    out.append((params, grads, updates))
    params = optax.apply_updates(params, updates)
  return out, state


def trained(steps, **overrides):
  """As `run`, of the optimiser of a config, without the state."""
  return run(optim.make_optimizer(config(**overrides))[0], steps)[0]


def test_a_held_encoder_rests_while_the_rest_learns():
  steps = trained(HOLD + 2, hold_encoder_steps=HOLD)
  free = trained(HOLD + 2)
  for step, (_, _, updates) in enumerate(steps):
    moved = [bool(x.any()) for x in jax.tree.leaves(updates["encoder"])]
    assert moved == [step >= HOLD] * 2
    # Others move as if nothing were held.
    assert updates["predictor"]["w"].all()
    np.testing.assert_allclose(
        updates["predictor"]["w"], free[step][2]["predictor"]["w"], rtol=1e-6
    )


def test_a_held_encoder_begins_as_adamw_begins():
  """Its moments start when the hold ends, at the schedule's value there."""
  cfg = config(hold_encoder_steps=HOLD)
  mean, square = {}, {}
  late = trained(HOLD + 3, hold_encoder_steps=HOLD)[HOLD:]
  for count, (params, grads, updates) in enumerate(late):
    norm = np.sqrt(sum((g**2).sum() for g in jax.tree.leaves(grads)))
    rate = slow_schedule(cfg, HOLD + count)
    for name in ("w", "b"):
      g = np.float64(grads["encoder"][name]) * min(1, cfg.clip_norm / norm)
      mean[name] = cfg.b1 * mean.get(name, 0) + (1 - cfg.b1) * g
      square[name] = cfg.b2 * square.get(name, 0) + (1 - cfg.b2) * g**2
      unit = mean[name] / (1 - cfg.b1 ** (count + 1))
      unit /= np.sqrt(square[name] / (1 - cfg.b2 ** (count + 1))) + 1e-8
      decay = cfg.weight_decay * params["encoder"][name] if name == "w" else 0
      np.testing.assert_allclose(
          updates["encoder"][name], -rate * (unit + decay), rtol=1e-4
      )


def test_the_state_of_what_is_held_stays_new():
  tx = optim.held(optax.trace(0.9), 2)
  x = jnp.ones(2)
  state, seen = tx.init(x), []
  for step in range(4):
    updates, state = tx.update((step + 1) * x, state)
    trace = optax.tree.get(state, "trace")
    seen.append((float(updates[0]), float(trace[0])))
  # Gradients 1, 2, 3, 4: momentum knows of the last two.
  want = [(0, 0), (0, 0), (3, 3), (6.7, 6.7)]
  np.testing.assert_allclose(seen, want, rtol=1e-6)


def test_nothing_is_held_for_zero_steps():
  for one, other in zip(
      trained(2, hold_encoder_steps=0), trained(2), strict=True
  ):
    assert jax.tree.all(jax.tree.map(np.array_equal, one, other))
    assert other[2]["encoder"]["w"].all()


# --- by name, by pattern -----------------------------------------------------


@pytest.mark.parametrize("clip_norm", [0.0, 0.5])
@pytest.mark.parametrize("new", [
    {}, dict(optimizer="adamw", lr_multipliers=(), decay_patterns=()),
])
def test_the_default_is_adamw_to_the_last_bit(clip_norm, new):
  """Updates and the layout of the state, which checkpoints hold."""
  cfg = config(clip_norm=clip_norm, **new)
  tx, schedule = optim.make_optimizer(cfg)
  want = optax.adamw(
      schedule, b1=cfg.b1, b2=cfg.b2, weight_decay=cfg.weight_decay,
      mask=lambda params: jax.tree.map(lambda p: p.ndim >= 2, params),
  )
  if clip_norm:
    want = optax.chain(optim.clip(clip_norm), want)
  else:
    want = optax.with_extra_args_support(want)
    tx = optax.with_extra_args_support(tx)
  one, other = run(tx), run(want)
  assert jax.tree.structure(one) == jax.tree.structure(other)
  for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True):
    assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def by_leaf(cfg):
  """Of each step and leaf: (step, (part, name), decay of the weight, clipped
  gradient in float64, update).
  """
  for step, (params, grads, updates) in enumerate(
      run(optim.make_optimizer(cfg)[0])[0]
  ):
    norm = np.sqrt(sum((g**2).sum() for g in jax.tree.leaves(grads)))
    for part in params:
      for name, w in params[part].items():
        g = np.float64(grads[part][name]) * min(1, cfg.clip_norm / norm)
        decay = cfg.weight_decay * w if w.ndim > 1 else 0
        yield step, (part, name), decay, g, updates[part][name]


def test_lion_by_hand():
  """arXiv 2302.06675, algorithm 2; biases do not decay."""
  cfg = config(optimizer="lion")
  momentum = {}
  for step, leaf, decay, g, update in by_leaf(cfg):
    m = momentum.get(leaf, 0)
    direction = np.sign(cfg.b1 * m + (1 - cfg.b1) * g)
    momentum[leaf] = cfg.b2 * m + (1 - cfg.b2) * g
    np.testing.assert_allclose(
        update, -slow_schedule(cfg, step) * (direction + decay), rtol=1e-4
    )


def test_sgd_by_hand():
  """With the momentum b1 and the weight decay of AdamW."""
  cfg = config(optimizer="sgd")
  trace = {}
  for step, leaf, decay, g, update in by_leaf(cfg):
    trace[leaf] = cfg.b1 * trace.get(leaf, 0) + g
    np.testing.assert_allclose(
        update, -slow_schedule(cfg, step) * (trace[leaf] + decay), rtol=1e-4
    )


@pytest.mark.parametrize("hold", [0, HOLD])
def test_adam_with_decoupled_decay_is_adamw(hold):
  one, other = (
      run(optim.make_optimizer(config(
          optimizer=name, hold_encoder_steps=hold))[0], HOLD + 2)[0]
      for name in ("adam", "adamw")
  )
  for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", sorted(optim.OPTIMIZERS))
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_all_names_move_all_parameters(name, weight_decay):
  tx, _ = optim.make_optimizer(config(
      optimizer=name, weight_decay=weight_decay, clip_norm=0.5))
  for x in jax.tree.leaves(run(tx, 3)[0][-1][2]):
    assert np.isfinite(x).all() and x.any()


@pytest.mark.parametrize("name", sorted(optim.OPTIMIZERS))
def test_a_part_of_a_matrix_is_updated_as_in_the_whole(name):
  """What fsdp needs: halves of each parameter, updated apart."""
  tx, _ = optim.make_optimizer(config(optimizer=name, clip_norm=0.5))
  w, grads = network(0)["encoder"]["w"], network(1)["encoder"]["w"]

  def updates(rows):
    params = {"w": w[rows]}
    state, out = tx.init(params), []
    for step in range(3):
      got, state = tx.update(
          {"w": (step + 1) * grads[rows]}, state, params, grad_norm=2.0)
      params = optax.apply_updates(params, got)
      out.append(got["w"])
    return np.stack(out)

  parts = [updates(slice(0, 2)), updates(slice(2, 3))]
  np.testing.assert_allclose(
      np.concatenate(parts, 1), updates(slice(None)), rtol=1e-6
  )


@pytest.mark.parametrize("hold", [0, 2])
def test_learning_rates_by_pattern(hold):
  """The first pattern that matches counts; decay and moments are as before."""
  fields = dict(hold_encoder_steps=hold, clip_norm=0.0)
  plain = optim.make_optimizer(config(**fields))[0]
  tx = optim.make_optimizer(config(
      lr_multipliers=[["^encoder/b$", 0], ["encoder/", 0.25], ["w$", 3.0]],
      **fields,
  ))[0]
  params = network(0)
  a, b = (optax.with_extra_args_support(t) for t in (plain, tx))
  one, two = a.init(params), b.init(params)
  for step in range(4):
    grads = network(1 + step)
    want, one = a.update(grads, one, params)
    got, two = b.update(grads, two, params)
    assert not got["encoder"]["b"].any()
    for part, factor in (("encoder", 0.25), ("predictor", 3.0)):
      np.testing.assert_allclose(
          got[part]["w"], factor * want[part]["w"], rtol=1e-6
      )


@pytest.mark.parametrize("optimizer", ["adamw", "adam"])
@pytest.mark.parametrize("hold", [0, 2])
def test_weight_decay_by_pattern(optimizer, hold):
  fields = dict(optimizer=optimizer, hold_encoder_steps=hold, clip_norm=0.0)
  none = run(_extra(config(weight_decay=0.0, **fields)), 4)[0][0]
  some = run(_extra(config(
      weight_decay=0.5, decay_patterns=("/b$", "^predictor"), **fields)), 4)
  params, _, updates = some[0][0]
  for part, name, decays in (
      ("encoder", "w", False), ("encoder", "b", not hold),
      ("predictor", "w", True),
  ):
    rate = slow_schedule(config(), 0)
    want = none[2][part][name] - decays * rate * 0.5 * params[part][name]
    np.testing.assert_allclose(updates[part][name], want, rtol=1e-5)


def _extra(cfg):
  return optax.with_extra_args_support(optim.make_optimizer(cfg)[0])


@pytest.mark.parametrize("field, value, want", [
    ("lr_multipliers", (("^encodr/w", 0.1),),
     r"lr_multipliers: got '\^encodr/w', which matches no parameter, want .* "
     "did you mean 'encoder/w'"),
    ("decay_patterns", ("kernel",), "'kernel', which matches no parameter"),
])
def test_a_pattern_that_matches_nothing_is_refused(field, value, want):
  tx, _ = optim.make_optimizer(config(**{field: value}))
  with pytest.raises(InputError, match=want):
    jax.eval_shape(tx.init, network(0))


@pytest.mark.parametrize(
    "field, value, want",
    [
        ("lr", 0.0, "lr: got 0.0, want above 0"),
        ("b2", 1.0, "b2: got 1.0"),
        ("clip_norm", -1.0, "clip_norm: got -1.0"),
        ("warmup_steps", 9, "warmup_steps: got 9 of 8 total_steps"),
        ("total_steps", 0, "total_steps: got 0"),
        ("lr_floor", 2.0, "lr_floor: got 2.0"),
        (
            "hold_encoder_steps",
            -1,
            "hold_encoder_steps: got -1, want 0 or more; set "
            "--config.hold_encoder_steps",
        ),
        ("optimizer", "adamv", "optimizer: got 'adamv'.* did you mean 'adam"),
        ("optimizer", "lamb", "optimizer: got 'lamb', want one of"),
        ("lr_multipliers", (("a", "b"),), "lr_multipliers: got .*, want pairs"),
        ("lr_multipliers", ("a",), "lr_multipliers: got .*, want pairs"),
        ("lr_multipliers", (("a", -1),), "a factor of 0 or more"),
        ("lr_multipliers", (("(", 1),), "want a regular expression"),
        ("lr_multipliers", ((3, 1),), "want a regular expression"),
        ("decay_patterns", "kernel$", "want several patterns"),
        ("decay_patterns", ("*",), "want a regular expression"),
    ],
)
def test_bad_values_are_refused(field, value, want):
  with pytest.raises(InputError, match=want):
    optim.make_optimizer(config(**{field: value}))
