"""An encoder class outside the package is built like one of its own."""

import json

import jax
import numpy as np
import pytest

from accfm.base import plugins
from accfm.base.errors import InputError
from accfm.configs import acc_supervised, common
from accfm.models import build
from tests.models import fresh

NETS = '''
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from accfm.base.errors import InputError
from accfm.models.regularise import Dropout


class ConvNet(nn.Module):
  """A convolution, batch norm, a mean over time, a linear map."""

  width: int = 4
  taps: tuple = (5, 2)
  embed_dim: int = 6
  dropout: float = 0.0
  dtype: Any = jnp.float32
  axis_name: str | None = None

  def check(self):
    if self.width < 1:
      raise InputError(f"width: got {self.width}, want at least 1")

  @nn.compact
  def __call__(self, x, train=False, row_keys=None):
    kernel, stride = self.taps
    x = nn.Conv(self.width, (kernel,), (stride,), dtype=self.dtype)(x)
    x = nn.BatchNorm(not train, axis_name=self.axis_name)(x)
    x = nn.Dense(self.embed_dim)(nn.relu(x).mean(1))
    return Dropout(self.dropout)(x, train, row_keys).astype(jnp.float32)


class Plain(nn.Module):
  depth: int
  embed_dim: int = 2

  def __call__(self, x, train=False, row_keys=None):
    return x.mean(1)[:, :self.embed_dim]


class Nameless(nn.Module):
  width: int = 3


def convolve():
  pass
'''


@pytest.fixture
def nets(tmp_path, monkeypatch):
  """Path of the file; nothing of it is named yet."""
  monkeypatch.setattr(plugins, "_named", {})
  monkeypatch.setattr(plugins, "_files", {})
  path = tmp_path / "nets.py"
  path.write_text(NETS)
  return path


def test_a_class_gives_its_config(nets):
  name = f"{nets}:ConvNet"
  plugins.allow([name])
  config = build.encoder_config(name, width=3)
  assert config.to_dict() == {
      "family": name, "width": 3, "taps": (5, 2), "embed_dim": 6,
      "dropout": 0.0, "dtype": "float32",
  }
  stored = json.loads(config.to_json())
  one, two = build.build_encoder(config), build.build_encoder(stored, "data")
  assert one.taps == two.taps == (5, 2) and one.dtype == np.float32
  assert (one.axis_name, two.axis_name) == (None, "data")
  x = np.random.default_rng(0).normal(size=(3, 32, 2)).astype(np.float32)
  variables = fresh.variables(one, x)
  assert set(variables) == {"params", "batch_stats"}
  assert jax.jit(one.apply)(variables, x).shape == (3, 6)


def test_without_dtype_or_axis_or_check(nets):
  plugins.allow([f"{nets}:Plain"])
  encoder = build.build_encoder({"family": f"{nets}:Plain", "depth": 1})
  assert (encoder.depth, encoder.embed_dim) == (1, 2)
  with pytest.raises(InputError, match="got no depth, which have no default"):
    build.encoder_config(f"{nets}:Plain")
  assert build.encoder_config(f"{nets}:Plain", depth=2).depth == 2


@pytest.mark.parametrize("name, fields, message", [
    ("ConvNet", dict(width=0), "width: got 0, want at least 1"),
    ("ConvNet", dict(widht=3), "got 'widht', want one .*did you mean 'width'"),
    ("ConvNet", dict(axis_name="data"), "encoder field: got 'axis_name'"),
    ("ConvNet", dict(dtype="float16"), "dtype: got 'float16'"),
    ("Nameless", {}, "has no field embed_dim"),
    ("convolve", {}, "is no class of flax.linen.Module"),
    ("", {}, "is no class of flax.linen.Module; name the class behind"),
    ("Missing", {}, "has no 'Missing'"),
])
def test_what_cannot_be_built(nets, name, fields, message):
  name = f"{nets}:{name}".rstrip(":")
  plugins.allow([name])
  with pytest.raises(InputError, match=message) as error:
    build.build_encoder({"family": name, **fields})
  assert "\n" not in str(error.value)


def test_what_no_command_named_is_not_loaded(nets):
  nets.write_text("raise AssertionError('it ran')")
  for make in (build.encoder_config, build.build_encoder):
    with pytest.raises(InputError, match="--plugins=.*nets.py:ConvNet"):
      make(f"{nets}:ConvNet")
  with pytest.raises(InputError, match="--plugins="):
    build.build_encoder({"family": f"{nets}:ConvNet"})


def test_an_argument_of_a_config_names_it(nets):
  config = acc_supervised.get_config(f"laptop,encoder={nets}:ConvNet")
  assert config.encoder.family == f"{nets}:ConvNet"
  at_scale = common.encoder("paper", f"{nets}:ConvNet")
  assert at_scale.dtype == "bfloat16" and "block" not in at_scale
