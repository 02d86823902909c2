"""Which segment gets which augmentation: by row, view, step, probability."""

import functools
import itertools

import jax
import ml_collections
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from accfm.base import mesh as meshes
from accfm.base import overrides
from accfm.base.errors import InputError
from accfm.signals import augment

STRENGTHS = {
    "time_shift": dict(max_share=0.3),
    "time_jitter": dict(max_share=0.3),
    "time_warp": dict(sd=0.3, knots=5),
    "permute_channels": {},
    "magnitude_warp": dict(sd=0.4, knots=5),
    "scale": dict(sd=0.3),
    "rotate": dict(max_angle_deg=60.0),
    "cutout": dict(max_share=0.5),
    "noise": dict(sd=0.2, relative=True),
}
GRAVITY = np.array([0.2, -0.5, 0.8], np.float32)
EVERY = sorted(augment.OPERATIONS)
# No two of them commute.
UNLIKE = ("time_jitter", "magnitude_warp", "cutout")


def segments(b=6, t=80, seed=0, size=0.05):
  """Acceleration [B, T, 3] in g: gravity and a little movement."""
  rng = np.random.default_rng(seed)
  return (GRAVITY + size * rng.normal(size=(b, t, 3))).astype(np.float32)


def some(*names, prob=1.0, **fields):
  """The config of some operations, the others off."""
  return {**augment.off(), **{
      name: {**STRENGTHS[name], **fields, "prob": prob} for name in names
  }}


@functools.cache
def compiled(items):
  cfg = {name: dict(fields) for name, fields in items}
  return jax.jit(augment.make_augment(cfg), static_argnames="view")


def run(cfg, x, rows=None, seed=0, view=""):
  cfg = augment.resolve(cfg, "ppg")
  items = tuple(
      (n, tuple(f.items())) for n, f in cfg.items() if n != "preset"
  )
  rows = np.arange(len(x)) if rows is None else np.asarray(rows)
  return np.asarray(
      compiled(items)(jax.random.key(seed), x, rows, view=view)
  )


def program(cfg):
  return jax.make_jaxpr(augment.make_augment(augment.resolve(cfg, "ppg")))(
      jax.random.key(0), segments(), np.arange(6)
  )


def test_off_is_the_identity_and_no_program():
  x = segments()
  assert run(augment.off(), x).tobytes() == x.tobytes()
  assert not program(augment.off()).eqns
  assert not program({}).eqns


def test_what_never_happens_is_not_in_the_program():
  """Neither as a branch nor as a draw, and the others draw as without it."""
  for names in (["noise"], list(UNLIKE)):
    cfg = some(*names, prob=0.5)
    few = {name: cfg[name] for name in names}
    assert str(program(cfg)) == str(program(few))
    assert str(program(cfg)) != str(program(some(*names, "scale")))


def test_every_operation_is_in_the_program_once():
  text = str(program(some(*UNLIKE)))
  assert text.count("cond[") == 1
  assert text.count("cumsum") == 0 and text.count("erf_inv") == 1
  assert "cond[" not in str(program(some("noise")))  # nothing to choose


def test_a_row_draws_by_its_number_alone():
  """Order, batch size and neighbours change nothing; step and row do."""
  x = segments(8)
  cfg = some(*EVERY, prob=0.6)
  whole = run(cfg, x)
  order = np.array([5, 2, 7, 0])
  np.testing.assert_array_equal(run(cfg, x[order], order), whole[order])
  assert (run(cfg, x, seed=1) != whole).any((1, 2)).all()
  same = np.broadcast_to(x[:1], x.shape)
  apart = run(cfg, same)
  assert len(np.unique(apart, axis=0)) == 8


@pytest.mark.parametrize("names", [
    ("time_shift",), ("noise",), ("cutout", "time_warp"),
])
@pytest.mark.parametrize("together", [False, True])
def test_views_differ_unless_together(names, together):
  """In what is drawn, whether it happens and in which order."""
  x = segments(12)
  cfg = some(*names, prob=0.6, together=together)
  one, two = (run(cfg, x, view=view) for view in ("one", "two"))
  assert (one == two).all() == together
  kept = [(got == x).all((1, 2)) for got in (one, two)]
  assert (kept[0] == kept[1]).all() == together


def test_only_the_time_shift_is_together_by_itself():
  for kind in augment.PRESETS:
    for name, fields in augment.preset(kind).items():
      assert fields["together"] == (name == "time_shift")
  x = segments(t=240)  # the jitter is a 120th
  for name in ("time_shift", "time_jitter"):
    cfg = {name: dict(prob=1.0)}  # the rest by default
    one, two = (run(cfg, x, view=view) for view in ("one", "two"))
    assert (one == two).all() == (name == "time_shift")


def test_together_keeps_two_signals_aligned_whatever_else_each_has():
  """Also where two of them move the time axis and do not commute."""
  t = np.arange(80, dtype=np.float32)
  acc = np.tile(t[:, None], (9, 1, 3))
  ppg = np.tile(10 * t[:, None], (9, 1, 1))
  time = some("time_shift", "time_warp", prob=0.7, together=True)
  # Channels are alike here: an operation more that changes nothing.
  more = {**time, "permute_channels": dict(prob=1.0)}
  seen = set()
  for seed in range(12):
    a = run(more, acc, view="acc", seed=seed)
    b = run(time, ppg, view="ppg", seed=seed)
    np.testing.assert_allclose(10 * a[:, :, :1], b, atol=1e-3)
    seen.update(a[:, 0, 0])
  assert len(seen) > 10


def test_operations_draw_independently():
  """Whether one happens says nothing of the other."""
  n = 2000
  x = segments(n, t=10)
  cut = np.abs(
      run(some("cutout", prob=0.5, max_share=1.0), x) - x
  ).max((1, 2)) > 0
  loud = np.abs(run(some("noise", prob=0.5), x) - x).max((1, 2)) > 0
  both = np.mean(cut & loud)
  assert abs(both - cut.mean() * loud.mean()) < 4 * 0.25 / n**0.5 + 0.01


@pytest.mark.parametrize("names, prob", [
    (("noise",), 0.05), (("noise",), 0.95), (("rotate",), 0.3),
    (("time_warp", "scale"), 0.4),
])
def test_the_measured_probability(names, prob):
  """Within four standard deviations of a binomial count."""
  n = 3000
  x = segments(n, t=12)
  unchanged = (run(some(*names, prob=prob), x) == x).all((1, 2)).mean()
  want = (1 - prob) ** len(names)
  assert abs(unchanged - want) < 4 * (want * (1 - want) / n) ** 0.5


def orders_that_explain(cfg, x, seed):
  """Orders of UNLIKE whose one-by-one application is what `cfg` does."""
  got = run(cfg, x, seed=seed)
  found = []
  for order in itertools.permutations(UNLIKE):
    want = x
    for name in order:
      want = run({name: cfg[name]}, want, seed=seed)
    if np.allclose(want, got, atol=1e-6):
      found.append(order)
  return found


def test_the_order_is_drawn_by_step_and_is_that_of_all_rows():
  """An operation alone draws what it draws among others: that is the oracle.
  """
  x = segments(size=0.3)
  cfg = some(*UNLIKE)
  seen = []
  for seed in range(40):
    (order,) = orders_that_explain(cfg, x, seed)  # one, for all rows
    seen.append(order)
  assert len(set(seen)) == 6
  assert (run(cfg, x, seed=3) == run(cfg, x, seed=3)).all()


def test_the_order_of_a_view_is_its_own():
  key = jax.random.key(0)
  # Without draws of their own: the order alone tells the views apart.
  ranks = [
      tuple(np.argsort(augment._draws(key, names, np.arange(2))[0]))
      for names in ([f"{name}/{view}" for name in EVERY] for view in "ab")
  ]
  assert ranks[0] != ranks[1]


@pytest.mark.parametrize("names", [("noise",), tuple(EVERY)])
def test_eight_devices_augment_like_one(names):
  """In `shard_map` with its checks on, as every step runs."""
  x = segments(16)
  rows = np.arange(16) + 100
  cfg = some(*names, prob=0.7)
  augmenter = augment.make_augment(cfg)
  over, whole = PartitionSpec("data"), PartitionSpec()
  parallel = jax.jit(jax.shard_map(
      functools.partial(augmenter, view="one"), mesh=meshes.make_mesh(),
      in_specs=(whole, over, over), out_specs=over, axis_names={"data"},
      check_vma=True,
  ))
  for seed in range(3):
    got = parallel(jax.random.key(seed), x, rows)
    assert len(got.sharding.device_set) == 8
    want = run(cfg, x, rows, seed=seed, view="one")
    np.testing.assert_allclose(got, want, atol=2e-6)
    assert np.abs(want - x).max() > 1e-3


PUBLISHED = {
    "ppg": dict(cutout=0.4, magnitude_warp=0.25, noise=0.25,
                permute_channels=0.25, time_warp=0.15),
    "ecg": dict(cutout=0.8, magnitude_warp=0.5, noise=0.5, time_warp=0.3),
    "acc": dict(cutout=0.4, magnitude_warp=0.25, noise=0.25,
                permute_channels=0.25, time_warp=0.15),
}


@pytest.mark.parametrize("kind", sorted(PUBLISHED))
def test_presets_carry_the_published_probabilities_and_run(kind):
  assert set(augment.PRESETS) == set(PUBLISHED)
  cfg = augment.preset(kind, time_shift=dict(prob=1.0))
  assert set(cfg) == set(augment.OPERATIONS)
  for name, fields in augment.PRESETS[kind].items():
    assert fields["prob"] == PUBLISHED[kind].get(name, 0.0)
  assert cfg["time_shift"]["prob"] == 1.0
  x = segments(16)
  got = run(cfg, x)
  assert got.shape == x.shape and np.isfinite(got).all()


@pytest.mark.parametrize("kind", sorted(PUBLISHED))
def test_a_config_by_kind_becomes_the_preset_of_that_kind(kind):
  cfg = augment.by_kind(time_shift=dict(prob=1.0))
  assert set(cfg) == {"preset", *augment.OPERATIONS}
  for locked in (cfg, ml_collections.ConfigDict(cfg).lock()):
    assert augment.resolve(locked, kind) == {
        "preset": kind, **augment.preset(kind, time_shift=dict(prob=1.0)),
    }
  done = augment.resolve(ml_collections.ConfigDict(cfg), kind)
  for other in PUBLISHED:  # what is resolved stays so
    assert augment.resolve(done, other) == done
  assert str(program(augment.resolve(done, kind))) == str(
      program(augment.preset(kind, time_shift=dict(prob=1.0))))


def test_what_is_set_wins_over_the_kind():
  cfg = ml_collections.ConfigDict(augment.by_kind())
  overrides.set_text(cfg, "noise.prob", "0.5")
  overrides.set_text(cfg, "noise.relative", "true")
  cfg.cutout.prob = 0.0
  got = augment.resolve(cfg, "acc")
  assert got["noise"] == dict(
      prob=0.5, sd=0.0005, relative=True, together=False)
  assert got["cutout"]["prob"] == 0.0
  overrides.set_text(cfg, "preset", "ecg")
  got = augment.resolve(cfg, "acc")
  assert got["magnitude_warp"]["prob"] == 0.5 and got["preset"] == "ecg"
  assert got["noise"]["sd"] == 0.1 and got["noise"]["prob"] == 0.5


def test_nothing_happens_when_augmentation_is_off():
  for kind in (*PUBLISHED, "eda"):
    got = augment.resolve(augment.off(), kind)
    assert {fields["prob"] for name, fields in got.items()
            if name != "preset"} == {0.0}
  x = segments(3)
  np.testing.assert_array_equal(run(augment.off(), x), x)


def test_a_kind_without_a_preset():
  with pytest.raises(InputError) as error:
    augment.resolve(augment.by_kind(), "eda")
  assert str(error.value) == (
      "augment: got a signal of kind 'eda', for which there is no preset, and "
      "no cutout.prob; set it, or set preset to one of ['acc', 'ecg', "
      "'ppg']"
  )
  got = augment.resolve({"noise": dict(prob=0.5)}, "eda")
  assert got == {"noise": dict(
      prob=0.5, sd=0.1, relative=True, together=False)}


def test_an_unknown_preset():
  with pytest.raises(InputError, match="augment.preset: got 'pgp', want one of"
                     r" \['kind', 'acc', 'ecg', 'ppg'\]; did you mean 'ppg'"):
    augment.resolve({"preset": "pgp"}, "acc")


def test_a_locked_config_is_taken_as_it_is():
  cfg = augment.preset("acc", rotate=dict(prob=0.5))
  locked = ml_collections.ConfigDict(cfg).lock()
  assert str(program(locked)) == str(program(cfg))


def test_unknown_names():
  with pytest.raises(InputError, match="preset: got 'eeg', want one of"):
    augment.preset("eeg")
  with pytest.raises(InputError, match="got 'flip', want some of"):
    augment.make_augment({"flip": dict(prob=1.0)})
  with pytest.raises(InputError, match="'time_wrap', .*mean 'time_warp'"):
    augment.preset("ppg", time_wrap=dict(prob=1.0))
  with pytest.raises(InputError, match="'time_wrap', .*mean 'time_warp'"):
    augment.make_augment({"time_wrap": dict(prob=1.0)})
  with pytest.raises(InputError, match="cutout: field 'max_shares' is un.*"
                     "did you mean 'max_share'"):
    augment.make_augment({"cutout": dict(prob=0.0, max_shares=1.0)})


@pytest.mark.parametrize("name, field, value, want", [
    ("noise", "prob", -0.1, "0 to 1"),
    ("noise", "prob", 1.5, "0 to 1"),
    ("noise", "prob", float("nan"), "0 to 1"),
    ("noise", "prob", None, "0 to 1"),
    ("noise", "sd", -1.0, "at least 0"),
    ("cutout", "max_share", 1.1, "0 to 1"),
    ("time_warp", "knots", 1, "at least 2"),
    ("rotate", "max_angle_deg", 190.0, "0 to 180"),
])
def test_values_out_of_range(name, field, value, want):
  cfg = {name: {**STRENGTHS[name], "prob": 1.0, field: value}}
  with pytest.raises(InputError, match=f"{name}.{field}: got .*, want {want}"):
    augment.make_augment(cfg)


def test_an_operation_that_does_not_fit_the_signal():
  with pytest.raises(InputError, match="rotate: got 4 channels"):
    jax.eval_shape(
        augment.make_augment(some("rotate", "noise")), jax.random.key(0),
        np.zeros((2, 20, 4), np.float32), np.arange(2),
    )
