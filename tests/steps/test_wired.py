"""Wired losses against loops over what the towers of the state give."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.configs import ppg_contrastive
from accfm.signals import augment
from accfm.steps import contrastive, nets, towers
from accfm.steps.record import Record
from tests.steps import wired
from tests.steps.wired import CONTRACT, GIVEN, B, one_step

INIT = nets.init  # as it is where no test has replaced it


def by_person(**fields):
  """The objective of two segments of a person, without augmentation."""
  config = ppg_contrastive.get_config("tiny,positives=participant").unlock()
  config.augment = augment.off()
  config.update(fields)
  return config, contrastive.make_objective(config, GIVEN)


def views(config, params):
  """[B, P] projections of the batch and of its pairs."""
  record = Record("contrastive", config.to_dict(), ("ppg",), CONTRACT)
  tower = towers.from_checkpoint(params, {}, {}, record)["ppg"]
  batch = wired.make_batch()
  return [
      np.asarray(jax.jit(type(tower).project)(
          tower, part["ppg"], part["ppg_scale"]
      ), np.float64) for part in (batch, batch["pair"])
  ]


def koleo_oracle(z):
  total = 0.0
  for i in range(len(z)):
    near = min(np.linalg.norm(z[i] - z[j]) for j in range(len(z)) if j != i)
    total -= np.log(near + 1e-8)
  return total / len(z)


@pytest.mark.parametrize("koleo", [0.0, 0.1])
def test_momentum_contrast_against_loops(koleo):
  """Each view against the target's embedding of the other, plus KoLeo."""
  config, made = by_person(koleo_weight=koleo, temperature=0.1)
  other = jax.tree.map(lambda x: 0.8 * x + 0.05, made.carried["target"])
  made = dataclasses.replace(made, carried={"target": other})
  state, metrics, _ = one_step(made)
  # The target moves before the step, towards the weights as they are.
  target = jax.tree.map(
      lambda old, new: np.asarray(old) + 0.01 * (new - np.asarray(old)),
      other, made.params,
  )
  for a, b in zip(jax.tree.leaves(state.carried["target"]),
                  jax.tree.leaves(target), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
  one, two = views(config, made.params)
  near, far = views(config, target)
  want = 0.5 * wired.infonce_oracle(one, far, 0.1)
  want += 0.5 * wired.infonce_oracle(two, near, 0.1)
  spread = 0.5 * (koleo_oracle(one) + koleo_oracle(two))
  assert metrics["loss"] == pytest.approx(want + koleo * spread, rel=1e-3)
  assert ("koleo" in metrics) == bool(koleo)
  if koleo:
    assert metrics["koleo"] == pytest.approx(spread, rel=1e-3)


def test_without_momentum_nothing_is_carried():
  config, made = by_person(momentum=0.0, koleo_weight=0.0, temperature=0.1)
  assert made.carried == {} and made.advance is None
  _, metrics, _ = one_step(made)
  one, two = views(config, made.params)
  want = 0.5 * wired.infonce_oracle(one, two, 0.1)
  want += 0.5 * wired.infonce_oracle(two, one, 0.1)
  assert metrics["loss"] == pytest.approx(want, rel=1e-3)


@pytest.mark.parametrize("kind", ["cosine", "mse"])
def test_regression_to_the_teacher_against_loops(kind):
  config = wired.distill_config(loss=kind, **wired.REGRESSION)
  made = wired.make_distill(config)
  _, metrics, _ = one_step(made)
  student, teacher = embeddings(config, made)
  losses = []
  for s, t in zip(student, teacher, strict=True):
    if kind == "cosine":
      losses.append(1 - s @ t / np.linalg.norm(s) / np.linalg.norm(t))
    else:
      losses.append(np.mean((s - t) ** 2))
  assert metrics["loss"] == pytest.approx(np.mean(losses), rel=1e-3)


def embeddings(config, made):
  """(student's head output, teacher's embedding) [B, D], lengths as they are.
  """
  batch, out = wired.make_batch(), []
  found = towers.from_checkpoint(
      made.params, {}, made.frozen, wired.distilled(config)
  )
  for name, tower in found.items():
    x = jax.jit(type(tower).embed)(tower, batch[name], batch[f"{name}_scale"])
    out.append(np.asarray(
        tower.head.apply(tower.head_variables, x), np.float64
    ))
  return out


def test_supervision_against_a_loop():
  """The mean over targets of each one's mean over its labelled rows."""
  made = wired.build("linear")
  _, metrics, _ = one_step(made)
  batch = wired.make_batch()
  record = Record(
      "supervised", wired.acc_config().to_dict(), ("acc",), CONTRACT,
      targets=wired.TARGETS,
  )
  tower = towers.from_checkpoint(made.params, {}, made.frozen, record)["acc"]
  made_off = np.asarray(jax.jit(type(tower).predict)(
      tower, batch["acc"], batch["acc_scale"]
  ), np.float64)
  assert made_off.shape == (B, 3)
  numbers, classes = [], []
  for out, (number, label) in zip(made_off, batch["labels"], strict=True):
    if np.isfinite(number):
      numbers.append((out[0] - number) ** 2)
    logits = out[1:]
    classes.append(np.log(np.exp(logits).sum()) - logits[int(label)])
  assert len(numbers) == B - 3
  want = (np.mean(numbers) + np.mean(classes)) / 2
  assert metrics["loss"] == pytest.approx(want, rel=1e-3)
  assert metrics["loss/hr_bpm"] == pytest.approx(np.mean(numbers), rel=1e-3)
  assert metrics["loss/sex"] == pytest.approx(np.mean(classes), rel=1e-3)


def test_what_is_kept_is_kept_for_each_initialiser(monkeypatch):
  """Modules share `wired`, and not all of them replace the initialisers."""
  def weights():
    return jax.tree.map(np.array, (
        wired.teacher()[1].variables, wired.teacher("vit_tiny")[1].variables,
        wired.build("joint").params["teacher"],
    ))

  mine = weights()
  monkeypatch.setattr(nets, "init", INIT)
  theirs = weights()
  for one, two, _ in (mine, theirs):
    jax.tree.map(np.testing.assert_array_equal, one, two)
  for one, two in zip(mine, theirs, strict=True):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True)
    assert any((a != b).any() for a, b in pairs)
  monkeypatch.undo()
  jax.tree.map(np.testing.assert_array_equal, weights(), mine)


def test_the_trained_teacher_starts_from_its_checkpoint_and_moves():
  config = wired.distill_config(teacher_mode="trained")
  made = wired.make_distill(config)
  assert made.frozen == {}
  before = wired.teacher()[1].variables["params"]
  for a, b in zip(jax.tree.leaves(made.params["teacher"]),
                  jax.tree.leaves(before), strict=True):
    np.testing.assert_array_equal(a, b)
  state, _, _ = one_step(made)
  moved = [
      float(jnp.abs(jnp.asarray(a) - b).max())
      for a, b in zip(jax.tree.leaves(state.params["teacher"]),
                      jax.tree.leaves(before), strict=True)
  ]
  assert max(moved) > 0


@pytest.mark.parametrize("loss, near", [
    ("contrastiv", "; did you mean 'contrastive'?"), ("l1", ""),
])
def test_an_unknown_loss_is_named_first(loss, near):
  with pytest.raises(InputError) as error:
    wired.make_distill(wired.distill_config(loss=loss))
  assert str(error.value) == (
      f"loss: got {loss!r}, want one of ['contrastive', 'cosine', 'mse']{near}"
  )


@pytest.mark.parametrize("fields, match", [
    (dict(loss="mse"), "loss 'mse': got teacher_head='mlp', teacher_mode='fro"),
    (dict(loss="cosine", teacher_mode="trained", **wired.REGRESSION),
     "want 'identity' and 'frozen': a teacher that may move"),
    (dict(soft_weight=0.5, teacher_mode="trained"),
     "soft_weight: got 0.5 with loss='contrastive', teacher_mode='trained', "
     "want 'contrastive' and 'frozen'"),
    (dict(soft_weight=0.5, loss="mse", **wired.REGRESSION),
     "soft_weight: got 0.5 with loss='mse'"),
    (dict(teacher_head="linear"), "teacher_head: got 'linear', want 'mlp'"),
    (dict(teacher_head="identity"), "head.out: got 128 beside a teacher's"),
])
def test_what_cannot_be_distilled(fields, match):
  with pytest.raises(InputError, match=match):
    wired.make_distill(wired.distill_config(**fields))
