"""Micro-batches give the whole batch's gradients, on one device and eight."""

import jax
import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.configs import acc_distill, ppg_contrastive
from accfm.steps import contrastive, micro
from tests.steps import wired


def make(kind, **fields):
  if kind == "distill":
    config = acc_distill.get_config("tiny").unlock()
    config.update(fields)
    return wired.make_distill(config)
  config = ppg_contrastive.get_config("tiny,positives=participant").unlock()
  config.update(fields)
  return contrastive.make_objective(config, wired.GIVEN)


@pytest.mark.parametrize(
    "kind", ["distill", pytest.param("momentum", marks=pytest.mark.full)]
)
def test_the_step_of_the_whole_batch(kind):
  """Augmented, with teacher or momentum target and KoLeo."""
  whole = make(kind)
  want, want_metrics, _ = wired.one_step(whole)
  for pieces, block, devices in ((4, 3, 1), (2, 0, 8)):
    made = make(kind, micro_batches=pieces, loss_block=block)
    got, metrics, _ = wired.one_step(made, devices=devices)
    assert metrics.keys() == want_metrics.keys()
    for name in metrics:
      np.testing.assert_allclose(
          metrics[name], want_metrics[name], rtol=1e-4, err_msg=name)
    grads = [
        jax.tree.leaves(jax.tree.map(
            lambda a, b: np.asarray(b) - a, state.params, whole.params))
        for state in (want, got)
    ]
    largest = max(np.abs(g).max() for g in grads[0])
    for a, b in zip(*grads, strict=True):
      # KoLeo divides by small distances, which makes more of the rounding.
      np.testing.assert_allclose(b, a, atol=1e-4 * largest)


def test_batch_norm_is_refused():
  config = ppg_contrastive.get_config(wired.EFFICIENT).unlock()
  config.micro_batches = 2
  with pytest.raises(InputError, match="with batch norm"):
    contrastive.make_objective(config, wired.GIVEN)


@pytest.mark.parametrize("pieces", [0, 3, -1])
def test_pieces_must_divide_a_devices_rows(pieces):
  config = ppg_contrastive.get_config("tiny").unlock()
  config.micro_batches = pieces
  with pytest.raises(InputError, match=r"want one of \[1, 2, 4, 8\]"):
    micro.check(config, 8)
  config.micro_batches = 4
  micro.check(config, 8)
