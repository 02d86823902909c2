"""What is planned is what is trained; on a TPU's compiler where it is there.
"""

import importlib.util
import re

import jax
import ml_collections
import numpy as np
import pytest

from accfm import distill, prepare, pretrain, supervise
from accfm.base import mesh as meshes
from accfm.base.errors import InputError
from accfm.configs import (
  acc_contrastive,
  acc_distill,
  acc_mae,
  acc_supervised,
  evaluate,
  finetune,
  ppg_contrastive,
  ppg_mae,
)
from accfm.configs import prepare as prepare_config
from accfm.plans import aot, flops, hlo, roofline
from accfm.signals import augment
from accfm.steps import nets
from accfm.steps.given import Start
from accfm.train import loop, optim
from tests.models import fresh


def tiny(module, arg="tiny", **fields):
  config = module.get_config(arg)
  with config.unlocked():
    config.update(fields)
  return config


def with_encoder(config):
  """Fine-tuning as `supervise` does it once the checkpoint is read."""
  cfg = acc_supervised.get_config("tiny").encoder
  return ml_collections.ConfigDict({**config.to_dict(), "encoder": cfg})


CONFIGS = {
    "mae": (pretrain, lambda: tiny(ppg_mae)),
    "by_people": (pretrain, lambda: tiny(
        ppg_contrastive, "tiny,positives=participant")),
    "distill": (distill, lambda: tiny(acc_distill)),
    "mixture": (distill, lambda: tiny(
        acc_distill, teacher_mode="trained", learn_temperature=True,
        dataset="simulated_easy:3,simulated_easy2:1")),
    "supervised": (supervise, lambda: tiny(
        acc_supervised, classes=("attributes/sex",))),
    "linear": (supervise, lambda: with_encoder(
        finetune.get_config("tiny,linear"))),
}


class Begun(Exception):
  """Training would begin."""


@pytest.fixture(scope="module")
def mixture(simulated, tmp_path_factory):
  """data_dir with the simulated data set twice, under two names."""
  root = tmp_path_factory.mktemp("mixture")
  folder = root / "biosignal_pairs"
  folder.mkdir()
  for name in ("simulated_easy", "simulated_easy2"):
    (folder / name).symlink_to(f"{simulated}/biosignal_pairs/simulated_easy")
  return str(root)


@pytest.fixture
def begin(monkeypatch, tmp_path, mixture):
  """`begin(main, config)`: (state, frozen, batch, key) of the first step."""
  monkeypatch.setattr(
      nets, "init",
      lambda module, seed, name, *inputs: fresh.variables(module, *inputs),
  )
  seen = []

  def stop(run):
    seen.extend((run.state, run.frozen, next(iter(run.batches(0))), run.key))
    raise Begun

  monkeypatch.setattr(loop, "train", stop)
  frozen = with_encoder(finetune.get_config("tiny")).encoder

  def variables(signal):
    x = np.zeros((1, 512, {"ppg": 4, "acc": 3}[signal]), np.float32)
    return fresh.variables(nets.encoder(frozen), x)

  def load_teacher(config, workdir):
    scratch = config.teacher_mode == "scratch"
    return Start(
        "ppg", config.teacher_encoder, None if scratch else variables("ppg")
    )

  def load_start(config, workdir):
    if not config.freeze_encoder:
      return None
    return Start("acc", config.encoder, variables("acc"))

  monkeypatch.setattr(distill, "load_teacher", load_teacher)
  monkeypatch.setattr(supervise, "load_start", load_start)

  def run(main, config):
    config.data_dir = mixture
    with pytest.raises(Begun):
      main.run(config, str(tmp_path / "run"))
    return tuple(seen)

  return run


@pytest.mark.parametrize("name", CONFIGS)
def test_planned_is_trained(name, begin):
  """Structure, shapes, types and shardings of all that a step is given."""
  main, make = CONFIGS[name]
  config = make()
  real = begin(main, config)
  task, mesh = aot.make_task(config), meshes.make_mesh()
  planned = aot.arguments(config, task, mesh, optim.make_optimizer(config)[0])
  told = [
      jax.tree.map(lambda x: (x.shape, x.dtype), tree)
      for tree in (planned, real)
  ]
  assert told[0] == told[1]
  for mine, theirs in zip(planned[:3], real[:3], strict=True):
    for a, b in zip(*map(jax.tree.leaves, (mine, theirs)), strict=True):
      assert isinstance(a, jax.ShapeDtypeStruct)
      assert a.sharding.is_equivalent_to(b.sharding, len(a.shape))
  assert task.row_bytes * 8 == sum(x.nbytes for x in jax.tree.leaves(real[2]))
  assert task.parameters == sum(
      x.size for x in jax.tree.leaves(real[0].params)
  )


@pytest.mark.parametrize("module", [
    acc_contrastive, acc_distill, acc_mae, acc_supervised, finetune,
    ppg_contrastive, ppg_mae,
])
def test_every_config_wires_without_data(module, tmp_path):
  """Such a batch would take hundreds of gigabytes, were it there."""
  config = tiny(module, data_dir=str(tmp_path), batch_size=2**24)
  task = aot.make_task(config)
  planned = aot.arguments(
      config, task, meshes.make_mesh(), optim.make_optimizer(config)[0]
  )
  assert {type(x) for x in jax.tree.leaves(planned)} == {jax.ShapeDtypeStruct}
  assert planned[2][config.signal].shape[:2] == (2**24, 3840)
  assert "no data set simulated_easy" in task.assumed[0]
  assert (len(task.assumed) == 2) == (module in (acc_distill, finetune))


def test_default_data_are_the_simulated_ones():
  config = prepare_config.get_config("simulated")
  want = prepare.make_contract(config, "")
  assert aot.CONTRACT.signals == want.signals
  assert aot.CONTRACT.length("acc") == want.length("acc") == 3840


def test_a_data_set_is_believed(simulated):
  task = aot.make_task(tiny(ppg_mae, data_dir=simulated))
  assert task.row["ppg"].shape == (1, 512, 4) and task.assumed == ()


def test_a_config_that_trains_nothing():
  with pytest.raises(InputError, match="config: got one that trains nothing"):
    aot.make_task(evaluate.get_config())


def test_an_absent_signal():
  with pytest.raises(InputError, match="signal: got 'ecg', want one of"):
    aot.make_task(tiny(ppg_mae, signal="ecg"))


@pytest.mark.parametrize("name, want", [
    ("v5e", "a chip of"), ("v5e:", "a chip of"), ("v9:2x2", "a chip of"),
    ("v5e:2x2x2", "a chip of"), ("v4:2x2", "a chip of"),
    ("v5e:0x4", "0 chips"), ("v5e:32x16", "512 chips, want 1 to 256"),
])
def test_a_wrong_topology(name, want):
  with pytest.raises(InputError, match=want) as error:
    aot.open_topology(name)
  assert name in str(error.value)


def test_libtpu_is_absent(monkeypatch):
  def no_libtpu(**unused):
    raise RuntimeError("JAX TPU support not installed")

  monkeypatch.setattr(aot.topologies, "get_topology_desc", no_libtpu)
  with pytest.raises(InputError, match=r"install accfm\[tpu\]"):
    aot.open_topology("v5e:2x2")


class Refused:
  """A traced step whose compilation fails with a message."""

  def __init__(self, text):
    self._text = text

  def lower(self):
    return self

  def compile(self):
    raise jax.errors.JaxRuntimeError(self._text)


def test_too_little_memory():
  config, mesh = acc_distill.get_config(), meshes.make_mesh()
  with config.unlocked():
    config.encoder.dtype = "float32"
  text = "Used 21.14G of 15.75G hbm"
  with pytest.raises(InputError) as error:
    aot.compile_step(config, Refused(text), mesh)
  assert str(error.value).startswith(
      "the step of batch 4,096 on 8 chips (512 rows a chip) does not fit: got "
      "21.14 GiB, want at most 15.75 GiB a chip; compute in bfloat16 with "
  )
  with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
    aot.compile_step(config, Refused("something else"), mesh)


# With libtpu. Without augmentation, which compiles slowly and has no
# collectives.


def augment_off(config):
  off = augment.off()
  config.augment = ml_collections.ConfigDict(dict(student=off, teacher=off))
  return config


@pytest.fixture(scope="module")
def tpu():
  """`open_topology` with the compiler's own optimisations."""
  if importlib.util.find_spec("libtpu") is None:
    pytest.skip("libtpu is not installed (bash check.sh --full installs it)")
  jax.config.update("jax_disable_most_optimizations", False)
  yield aot.open_topology
  jax.config.update("jax_disable_most_optimizations", True)  # as conftest.py


@pytest.fixture(scope="module")
def step(tpu):
  """(task, compiled tiny step on four v5e chips), its encoder in bfloat16."""
  config = augment_off(tiny(acc_distill))
  config.encoder.dtype = config.teacher_encoder.dtype = "bfloat16"
  _, devices = tpu("v5e:2x2")
  task, mesh = aot.make_task(config), meshes.make_mesh(devices)
  return task, aot.compile_step(config, aot.trace(config, task, mesh), mesh)


def test_collectives_and_shardings_on_a_tpu(step, golden):
  _, compiled = step
  lines = []
  for kind, entry in sorted(hlo.by_kind(
      hlo.collectives(compiled.as_text())
  ).items()):
    sizes = ", ".join(f"{n} bytes of {t}" for t, n in
                      sorted(entry["bytes_by_type"].items()))
    lines.append(f"{entry['count']} {kind}: {sizes}")
  names = ("state", "frozen", "batch", "key")
  given, _ = compiled.input_shardings
  out = zip(("state", "metrics"), compiled.output_shardings, strict=True)
  for side, trees in (
      ("in", zip(names, given, strict=True)), ("out", out)
  ):
    for name, tree in trees:
      specs = [str(s.spec) for s in jax.tree.leaves(tree)]
      lines += [
          f"{side} {name}: {specs.count(spec)} x {spec}"
          for spec in sorted(set(specs))
      ]
  golden("plan_tiny_v5e_2x2", "\n".join(lines))


def test_gradients_are_reduced_in_float32_on_a_tpu(step):
  task, compiled = step
  text = compiled.as_text()
  assert re.search(r"= bf16\[.* (convolution|dot|fusion)\(", text)
  reduced = [
      one for one in hlo.collectives(text) if one.kind == "all-reduce"
  ]
  assert all(set(one.bytes_by_type) == {"f32"} for one in reduced)
  assert max(one.bytes for one in reduced) >= 4 * task.parameters


def test_the_state_is_donated_on_a_tpu(step):
  _, compiled = step
  memory = compiled.memory_analysis()
  # The old state gives its memory to the new one; metrics alone are new.
  left = memory.output_size_in_bytes - memory.alias_size_in_bytes
  assert 0 < left < 0.05 * memory.output_size_in_bytes


def test_flops_of_a_tpu_step_are_near_xlas(step):
  """No loop in it: the rest is elementwise work, a quarter in so small a net.
  """
  task, compiled = step
  config = augment_off(tiny(acc_distill))
  mesh = meshes.make_mesh(jax.devices()[:4])
  work = flops.count(aot.trace(config, task, mesh).jaxpr)
  assert 0.7 < work.flops / compiled.cost_analysis()["flops"] < 1.0


@pytest.mark.parametrize("name, chips, hosts", [
    ("v4:2x2x2", 8, 2), ("v5e:1x1", 1, 1), ("v5e:4x4", 16, 4),
    ("v5p:2x2x1", 4, 1), ("v6e:8x8", 64, 16),
])
def test_a_chip_is_a_device(tpu, name, chips, hosts):
  """The two cores of a v4 chip too."""
  chip, devices = tpu(name)
  assert chip is roofline.CHIPS[name[:name.index(":")]]
  assert len(devices) == chips
  assert len({device.process_index for device in devices}) == hosts


def test_libtpu_refuses_a_shape(tpu):
  with pytest.raises(InputError, match="want one that libtpu knows"):
    tpu("v5e:3x3")


@pytest.mark.full
def test_a_real_lack_of_memory_is_told(tpu):
  """On one chip a batch of 32,768 does not fit without kernels."""
  config = tiny(ppg_mae, None)
  config.batch_size = 32_768
  config.encoder.update(dtype="float32", block="plain")
  _, devices = tpu("v5e:1x1")
  mesh = meshes.make_mesh(devices)
  traced = aot.trace(config, aot.make_task(config), mesh)
  with pytest.raises(InputError, match="does not fit: got .* GiB, want at"):
    aot.compile_step(config, traced, mesh)
