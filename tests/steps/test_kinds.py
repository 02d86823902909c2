"""Kinds of training: what follows from one record of each."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from accfm import evaluate, pretrain
from accfm.base.errors import InputError
from accfm.configs import (
  acc_contrastive,
  acc_distill,
  acc_mae,
  acc_supervised,
  common,
  finetune,
  ppg_contrastive,
  ppg_mae,
)
from accfm.configs import evaluate as evaluate_config
from accfm.plans import aot
from accfm.signals import augment, feed
from accfm.steps import kinds, nets, towers
from accfm.steps.given import Given, Start
from accfm.steps.record import Ranking, Record
from accfm.steps.state import Objective
from accfm.train import checkpoints
from tests.steps import wired

EACH = {
    "mae": ppg_mae, "contrastive": ppg_contrastive, "distill": acc_distill,
    "supervised": acc_supervised,
}


def test_every_kind_has_a_config_and_every_config_its_kind():
  assert set(EACH) == set(kinds.KINDS)
  for name, module in EACH.items():
    assert kinds.of_config(module.get_config("tiny"))[0] == name
  for module in (acc_contrastive, acc_mae, finetune):
    kinds.of_config(module.get_config("tiny"))


@pytest.mark.parametrize("objective, main, want", [
    ("contrastiv", "pretrain", "objective: got 'contrastiv', want one of "
     "['contrastive', 'mae']; did you mean 'contrastive'?"),
    ("gan", "", "objective: got 'gan', want one of ['contrastive', 'distill', "
     "'mae', 'supervised']"),
    ("distill", "pretrain", "objective: got 'distill', want one of "
     "['contrastive', 'mae'] for accfm.pretrain; 'distill' is trained by "
     "accfm.distill"),
])
def test_a_config_that_a_main_does_not_train(objective, main, want):
  with pytest.raises(InputError) as error:
    kinds.of_config(ConfigDict({"objective": objective}), main)
  assert str(error.value) == want


def test_a_config_that_trains_nothing():
  with pytest.raises(InputError, match="config: got one that trains nothing, "
                     "want one of accfm.pretrain, accfm.distill or accfm.sup"):
    kinds.of_config(evaluate_config.get_config())


def test_signals_and_ranking():
  config, start = ConfigDict({"signal": "acc"}), Start("ppg", {})
  for name, kind in kinds.KINDS.items():
    signals = kind.signals(config, start)
    both = name == "distill"
    assert signals == (("acc", "ppg") if both else ("acc",))
    assert kind.rank_by(signals) == (
        Ranking("val/acc2ppg/recall@1", "max") if both
        else Ranking("val/loss", "min")
    )


def test_the_encoder_that_goes_on_is_the_parents():
  config = finetune.get_config("tiny")
  start = Start("acc", {"family": "vit1d", "width": 8})
  assert "encoder" not in config
  adopted = kinds.KINDS["supervised"].adopt_encoder(config, start)
  assert adopted.encoder.to_dict() == {"family": "vit1d", "width": 8}
  assert kinds.KINDS["supervised"].adopt_encoder(config, None) is config
  student = acc_distill.get_config("tiny")
  assert kinds.KINDS["distill"].adopt_encoder(student, start) is student


def test_encoders_of_a_checkpoint():
  config = {"encoder": {"a": 1}, "teacher_encoder": {"b": 2}}
  record = Record("distill", config, ("acc", "ppg"), wired.CONTRACT)
  assert kinds.encoder_configs(record) == {
      "student": {"a": 1}, "teacher": {"b": 2},
  }
  parent = Record("mae", {"encoder": {"c": 3}}, ("ppg",), wired.CONTRACT)
  record = dataclasses.replace(record, parent=parent)
  assert kinds.encoder_configs(record)["teacher"] == {"c": 3}
  wrong = dataclasses.replace(record, signals=("acc",))
  with pytest.raises(InputError, match=r"signals: got \['acc'\], want one for "
                     r"each encoder of a 'distill' run, \['student', 'teach"):
    kinds.encoder_configs(wrong)


# --- augmentation follows the kind of a signal -------------------------------

# The presets as they stood when configs held them whole.
PPG = {
    "time_shift": dict(prob=0.0, together=True, max_share=0.5),
    "time_jitter": dict(prob=0.0, together=False, max_share=1 / 120),
    "time_warp": dict(prob=0.15, together=False, sd=0.1, knots=8),
    "permute_channels": dict(prob=0.25, together=False),
    "magnitude_warp": dict(prob=0.25, together=False, sd=0.3, knots=8),
    "scale": dict(prob=0.0, together=False, sd=0.2),
    "rotate": dict(prob=0.0, together=False, max_angle_deg=30.0),
    "cutout": dict(prob=0.4, together=False, max_share=0.2),
    "noise": dict(prob=0.25, together=False, sd=0.1, relative=True),
}
ACC = {**PPG, "noise": {**PPG["noise"], "sd": 0.0005, "relative": False}}


def with_fields(preset, **changes):
  return {**preset, **{n: {**preset[n], **f} for n, f in changes.items()}}


def never(preset):
  return with_fields(preset, **{name: dict(prob=0.0) for name in preset})


def resolved(config, signals):
  _, kind = kinds.of_config(config)
  out = kind.resolve_augment(config, wired.CONTRACT, signals)
  return out.augment.to_dict()


@pytest.mark.parametrize("scale", common.SCALES)
def test_the_augmentation_of_each_config_is_what_it_was(scale):
  together = dict(time_shift=dict(prob=1.0), time_warp=dict(together=True))
  jittered = dict(time_shift=dict(prob=1.0), time_jitter=dict(prob=1.0))
  unwarped = with_fields(ACC, time_warp=dict(prob=0.0))
  for module, arg, signals, want in (
      (ppg_contrastive, "", ("ppg",), {"preset": "ppg", **PPG}),
      (acc_contrastive, "", ("acc",), {"preset": "acc", **ACC}),
      (acc_contrastive, ",jitter", ("acc",),
       {"preset": "acc", **with_fields(ACC, **jittered)}),
      (ppg_mae, "", ("ppg",), {"preset": "ppg", **never(PPG)}),
      (acc_mae, "", ("acc",), {"preset": "acc", **never(ACC)}),
      (acc_supervised, "", ("acc",), {"preset": "acc", **unwarped}),
      (finetune, "", ("acc",), {"preset": "acc", **unwarped}),
      (acc_distill, "", ("acc", "ppg"), {
          "student": {"preset": "acc", **with_fields(ACC, **together)},
          "teacher": {"preset": "ppg", **with_fields(PPG, **together)},
      }),
  ):
    config = module.get_config(scale + arg)
    before = config.to_dict()
    assert resolved(config, signals) == want, (module, arg)
    assert config.to_dict() == before


def test_another_signal_gets_its_own_augmentation(simulated, tmp_path):
  """Acceleration trained by the config of PPG; what is set wins."""
  config = ppg_contrastive.get_config("tiny").unlock()
  config.update(data_dir=simulated, signal="acc")
  config.augment.cutout.prob = 0.125
  pretrain.run(config, str(tmp_path))
  got = checkpoints.load(tmp_path).record.config["augment"]
  assert got == {
      "preset": "acc", **with_fields(ACC, cutout=dict(prob=0.125)),
  }


def test_the_noise_of_acceleration_is_in_g():
  """Fed the same values, each signal is disturbed as its kind says."""
  contract = dataclasses.replace(wired.CONTRACT, signals={
      name: dataclasses.replace(spec, normalize="none")
      for name, spec in wired.CONTRACT.signals.items()
  })
  cfg = {"preset": "kind", "noise": dict(prob=1.0, sd=None, relative=None)}
  batch = wired.make_batch()
  for name, sd in (("acc", lambda x: 0.0005), ("ppg", lambda x: 0.1 * x.std())):
    x = feed.dequantize(batch[name], batch[f"{name}_scale"])
    prepare = feed.make_prepare(contract, name, cfg)
    noise = np.asarray(prepare(jax.random.key(0), batch, "one")) - x
    assert noise.std() == pytest.approx(sd(x), rel=0.05)


# --- a further objective -----------------------------------------------------


def make_next_second(config, given):
  """Predict the mean of a segment's end from its embedding: a toy."""
  encoder = nets.encoder(config.encoder)
  variables = nets.init_encoder(
      encoder, config.seed, "encoder", given.contract, config.signal
  )
  params = {"encoder": variables["params"], "out": jnp.zeros(
      (encoder.embed_dim,)
  )}
  prepare = feed.make_prepare(given.contract, config.signal, config.augment)

  def loss(params, carried, frozen, batch, key):
    x = prepare(key, batch, "one")
    z, carried = nets.forward(
        encoder, "encoder", params, carried, x, key, batch["row"]
    )
    error = z @ params["out"] - x[:, -64:, 0].mean(1)
    return jnp.square(error), {}, carried

  return Objective(params, loss, nets.carry(encoder=variables))


def test_an_objective_is_its_step_its_entry_and_its_config(
    simulated, tmp_path, monkeypatch
):
  """Trained, planned, evaluated: nothing else knows its name."""
  monkeypatch.setitem(
      kinds.KINDS, "next_second", kinds.Kind("pretrain", make_next_second)
  )
  config = common.training("tiny")
  config.objective, config.signal = "next_second", "acc"
  config.encoder = common.encoder("tiny", "vit_tiny")
  config.augment = augment.off()
  config.data_dir = simulated
  task = aot.make_task(config)
  assert task.kind == "next_second" and task.signals == ("acc",)
  pretrain.run(config, str(tmp_path / "w"))
  loaded = checkpoints.load(tmp_path / "w")
  assert loaded.record.kind == "next_second"
  assert task.parameters == sum(x.size for x in jax.tree.leaves(loaded.params))
  (tower,) = towers.from_checkpoint(
      loaded.params, loaded.carried, loaded.frozen, loaded.record
  ).values()
  assert tower.head is None
  check = evaluate_config.get_config("tiny").unlock()
  check.update(evals=("health", "probe"), report=False, handmade=False)
  got = evaluate.run(check, str(tmp_path / "w"), str(tmp_path / "out"))
  assert got["test/probe_hr/mae_bpm"] is not None


def test_each_kind_is_wired_from_its_entry():
  """`make_objective` of the entry, what is given as the main gives it."""
  for name, module in EACH.items():
    config, start, targets = module.get_config("tiny"), None, ()
    if name == "distill":
      start = wired.teacher()[1]
    if name == "supervised":
      targets = wired.TARGETS
    made = kinds.KINDS[name].make_objective(
        config, Given(wired.CONTRACT, start, targets)
    )
    record = Record(
        name, config.to_dict(),
        kinds.KINDS[name].signals(config, start), wired.CONTRACT,
        targets=targets, parent=start and Record(
            "contrastive", wired.teacher()[0].to_dict(), ("ppg",),
            wired.CONTRACT,
        ),
    )
    found = towers.from_checkpoint(
        made.params, made.carried, made.frozen, record
    )
    assert tuple(found) == record.signals
    for tower in found.values():
      batch = wired.make_batch()
      x = batch[tower.signal], batch[f"{tower.signal}_scale"]
      shape = jax.eval_shape(tower.embed, *x).shape
      assert shape == (wired.B, tower.encoder.embed_dim)
      if tower.head is not None:
        head = tower.predict if name == "supervised" else tower.project
        assert jax.eval_shape(head, *x).shape[0] == wired.B
