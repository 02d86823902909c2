"""Every ablation's config wires: traced, not compiled (check.sh --full runs).
"""

import dataclasses

import jax
import jax.numpy as jnp
import ml_collections
import optax
import pytest

from accfm.base import mesh as meshes
from accfm.configs import ablations
from accfm.steps import kinds, nets, towers
from accfm.steps import state as states
from accfm.steps.given import Given, Start
from accfm.train import parallel
from tests.steps import wired

STUDY = ablations.get_config("tiny")


def objective(name):
  """The Objective of a run, its teacher untrained."""
  spec = STUDY.runs[name]
  config = ml_collections.ConfigDict(spec.config.to_dict())
  _, kind = kinds.of_config(config, spec.main)
  if spec.main == "pretrain":
    start = None
  elif not spec.needs:
    start = Start("ppg", config.teacher_encoder)
  else:
    made = objective(spec.needs)
    start = Start(
        "ppg", STUDY.runs[spec.needs].config.encoder,
        towers.encoder_variables(made.params, made.carried, {}, "encoder"),
    )
  return kind.make_objective(config, Given(wired.CONTRACT, start))


def test_a_student_of_a_fifth_has_a_fifth_of_the_parameters():
  runs = ablations.get_config("easy,group=sizes,seeds=1").runs
  minute = dataclasses.replace(wired.CONTRACT, window_sec=60.0)

  def parameters(name):
    encoder = nets.encoder(runs[name].config.encoder)
    made = jax.eval_shape(
        lambda: nets.init_encoder(encoder, 0, "student", minute, "acc")
    )
    return sum(x.size for x in jax.tree.leaves(made["params"]))

  ratio = parameters("distilled") / parameters("student_fifth")
  assert 4.5 < ratio < 5.5


@pytest.mark.parametrize("name", STUDY.order)
def test_a_step_of_every_ablation(name):
  made = objective(name)
  tx = optax.sgd(0.1)
  step = parallel.make_parallel(
      states.make_update(made, tx), meshes.make_mesh(jax.devices()[:2])
  )
  state = states.create(made, tx)
  shapes = jax.eval_shape(
      step, state, made.frozen, wired.make_batch(), jax.random.key(0)
  )
  after, metrics = shapes
  assert metrics["loss"].shape == () and metrics["loss"].dtype == jnp.float32
  same = jax.tree.map(lambda a, b: a.shape == jnp.shape(b), after, state)
  assert all(jax.tree.leaves(same))
