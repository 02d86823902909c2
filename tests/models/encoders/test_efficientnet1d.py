"""EfficientNet-1D against loops in NumPy, and over eight devices."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from accfm.base import mesh as meshes
from accfm.base.errors import InputError
from accfm.models import build
from accfm.models.encoders import efficientnet1d
from tests.models import fresh

ROWS, WHOLE = PartitionSpec("data"), PartitionSpec()


def inputs(b=4, t=61, c=3, seed=0):
  return np.random.default_rng(seed).normal(size=(b, t, c)).astype(np.float32)


def encoder_of(axis_name=None, **fields):
  return build.build_encoder(
      build.encoder_config("efficientnet_tiny", **fields), axis_name
  )


class Oracle:
  """The network in float64, one row, output sample and tap at a time.

  Attributes:
    new: the running statistics after a training call, by layer.
  """

  def __init__(self, encoder, variables, train):
    self.encoder, self.train, self.new = encoder, train, {}
    self.params, self.stats = (
        jax.tree.map(np.float64, variables.get(name, {}))
        for name in ("params", "batch_stats")
    )

  def conv(self, x, kernel, stride):
    """[B, T, C], kernel [k, C, W] -> [B, ceil(T/stride), W]."""
    b, t, _ = x.shape
    taps, _, width = kernel.shape
    out = (t + stride - 1) // stride
    first = -(max((out - 1) * stride + taps - t, 0) // 2)
    y = np.zeros((b, out, width))
    for i in range(out):
      for j in range(taps):
        at = first + i * stride + j
        if 0 <= at < t:
          y[:, i] += x[:, at] @ kernel[j]
    return y

  def norm(self, x, params, stats, name):
    """Batch norm by the batch or by the running statistics."""
    mean, var = stats["mean"], stats["var"]
    if self.train:
      keep = self.encoder.bn_momentum
      flat = x.reshape(-1, x.shape[-1])
      now = sum(flat) / len(flat)
      spread = sum((row - now) ** 2 for row in flat) / len(flat)
      self.new[name] = dict(
          mean=keep * mean + (1 - keep) * now,
          var=keep * var + (1 - keep) * spread,
      )
      mean, var = now, spread
    x = (x - mean) / np.sqrt(var + self.encoder.bn_epsilon)
    return x * params["scale"] + params["bias"]

  def squeeze_excite(self, x, params):
    y = np.stack([row.sum(0) / len(row) for row in x])
    y = swish(y @ params["squeeze"]["kernel"] + params["squeeze"]["bias"])
    y = y @ params["excite"]["kernel"] + params["excite"]["bias"]
    return x / (1 + np.exp(-y))[:, None, :]

  def block(self, x, name, stride, expansion):
    params, stats = self.params[name], self.stats[name]

    def norm(y, layer):
      return self.norm(y, params[layer], stats[layer], (name, layer))

    y = x
    if expansion > 1:
      y = swish(norm(y @ params["expand"]["kernel"], "expand_norm"))
    kernel = params["depthwise"]["kernel"]
    y = self.conv(y, np.stack([np.diag(row) for row in kernel]), stride)
    y = swish(norm(y, "depthwise_norm"))
    y = self.squeeze_excite(y, params["weigh"])
    y = norm(y @ params["project"]["kernel"], "project_norm")
    return x + y if x.shape == y.shape else y

  def __call__(self, x):
    e, p, s = self.encoder, self.params, self.stats
    kernel = p["stem"]["dense"]["kernel"]
    kernel = kernel.reshape(e.stem_kernel, x.shape[-1], e.stem_width)
    x = self.conv(np.float64(x), kernel, e.stem_stride)
    x = swish(self.norm(x, p["stem_norm"], s["stem_norm"], ("stem_norm",)))
    number = 0
    for repeats, stride, expansion in zip(
        e.repeats, e.strides, e.expansions, strict=True
    ):
      for i in range(repeats):
        x = self.block(x, f"block{number}", 1 if i else stride, expansion)
        number += 1
    x = x @ p["last"]["kernel"]
    x = swish(self.norm(x, p["last_norm"], s["last_norm"], ("last_norm",)))
    pooled = np.stack([row.sum(0) / len(row) for row in x])
    if "embed" in p:
      pooled = pooled @ p["embed"]["kernel"] + p["embed"]["bias"]
    return pooled, x


def swish(x):
  return x / (1 + np.exp(-x))


@pytest.mark.parametrize("kernel, stride, length", [
    (3, 1, 8), (4, 1, 7), (5, 2, 9), (5, 2, 8), (2, 3, 10), (7, 4, 3),
    (1, 2, 5), (3, 2, 1),
])
def test_convolutions_against_a_loop(kernel, stride, length):
  x, oracle = inputs(2, length), Oracle(None, {}, False)
  full = efficientnet1d.Conv(4, kernel, stride, jnp.float32)
  variables = fresh.variables(full, x)
  weight = np.float64(variables["params"]["dense"]["kernel"])
  np.testing.assert_allclose(
      full.apply(variables, x),
      oracle.conv(np.float64(x), weight.reshape(kernel, 3, 4), stride),
      rtol=1e-4, atol=1e-5,
  )
  single = efficientnet1d.Depthwise(kernel, stride, jnp.float32)
  variables = fresh.variables(single, x)
  weight = np.float64(variables["params"]["kernel"])
  np.testing.assert_allclose(
      single.apply(variables, x),
      oracle.conv(
          np.float64(x), np.stack([np.diag(row) for row in weight]), stride
      ),
      rtol=1e-4, atol=1e-5,
  )


def test_squeeze_excite_against_a_loop():
  x = inputs(2, 7, 6)
  layer = efficientnet1d.SqueezeExcite(2, jnp.float32)
  variables = fresh.variables(layer, x)
  oracle = Oracle(None, variables, False)
  np.testing.assert_allclose(
      layer.apply(variables, x),
      oracle.squeeze_excite(np.float64(x), oracle.params),
      rtol=1e-4, atol=1e-5,
  )


@pytest.mark.parametrize("train, last_width", [(False, 16), (True, 24)])
def test_the_network_against_loops(train, last_width):
  """Embedding, feature map, and the running update of batch norm."""
  encoder, x = encoder_of(last_width=last_width), inputs()
  variables = fresh.variables(encoder, x)
  assert ("embed" in variables["params"]) == (last_width != 16)
  oracle = Oracle(encoder, variables, train)
  want = oracle(x)
  got, new = jax.jit(functools.partial(
      encoder.apply, train=train, return_tokens=True, mutable=["batch_stats"]
  ))(variables, x)
  assert got[1].shape == (4, 4, last_width)  # 61 -> 16 -> 4
  for one, two in zip(got, want, strict=True):
    np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-4)
  before, after = (
      flat(tree["batch_stats"]) for tree in (variables, new)
  )
  assert len(after) == 2 * 10 == len(before)
  for (*layer, leaf), value in after.items():
    old = before[*layer, leaf]
    update = oracle.new[tuple(layer)][leaf] if train else old
    np.testing.assert_allclose(value, update, rtol=1e-4, atol=1e-5)
    assert (np.asarray(value) != old).any() == train


def flat(tree):
  return {
      tuple(k.key for k in path): value
      for path, value in jax.tree_util.tree_flatten_with_path(tree)[0]
  }


def test_statistics_stay_float32_at_half_precision():
  """Means of bfloat16 values are no bfloat16 values themselves."""
  encoder = encoder_of(dtype="bfloat16", stem_kernel=1, stem_stride=1)
  x = inputs(b=4, t=64, c=1)
  variables = fresh.variables(encoder, x)

  @jax.jit
  def mean_of_stem(variables):
    apply = functools.partial(encoder.apply, mutable=["batch_stats"])
    _, new = apply(variables, x, train=True)
    return new["batch_stats"]["stem_norm"]["mean"]

  half = functools.partial(jnp.asarray, dtype=jnp.bfloat16)
  kernel = variables["params"]["stem"]["dense"]["kernel"]
  values = np.float64(half(x) * half(kernel)[None])  # [B, T, W]
  old = variables["batch_stats"]["stem_norm"]["mean"]
  now = mean_of_stem(variables)
  assert now.dtype == jnp.float32
  np.testing.assert_allclose(
      10 * now - 9 * old, values.mean((0, 1)), rtol=2e-4, atol=1e-5
  )


def test_initialisation_needs_no_mesh():
  variables = jax.eval_shape(
      encoder_of("data").init, jax.random.key(0), inputs(b=1)
  )
  assert set(variables) == {"params", "batch_stats"}


def test_a_block_drops_its_rows():
  """A row gets its input alone, or the branch scaled."""
  x, row_keys = inputs(b=16, t=9, c=4), fresh.row_keys(16)
  norm = functools.partial(nn.BatchNorm, momentum=0.9, epsilon=1e-3)
  make = functools.partial(
      efficientnet1d.MBConv, 4, 3, 1, 2, 0.25, norm=norm, dtype=jnp.float32
  )
  plain = make(drop_path=0.0)
  variables = fresh.variables(plain, x)

  def run(block):
    return np.asarray(jax.jit(functools.partial(
        block.apply, train=True, mutable=["batch_stats"]
    ))(variables, x, row_keys=row_keys)[0])

  whole, got = run(plain), run(make(drop_path=0.75))
  skipped = (got == x).all((1, 2))
  assert 4 < skipped.sum() < 16
  np.testing.assert_allclose(
      got[~skipped], (x + 4 * (whole - x))[~skipped], rtol=1e-3, atol=1e-4
  )


def step(encoder, devices):
  """Mean loss gradients, statistics and outputs over `devices`.

  The parameters are cast to varying and the gradients averaged, as in the
  training step.
  """
  weight = jnp.arange(1.0, 17.0)[None]
  axes = ("data",) if devices else ()

  def run(params, stats, x, row_keys):
    def loss(params):
      y, new = encoder.apply(
          {"params": params, "batch_stats": stats}, x, train=True,
          row_keys=row_keys, mutable=["batch_stats"],
      )
      return jnp.sin(weight * y).mean(), (y, new["batch_stats"])

    if axes:
      params = jax.lax.pcast(params, axes, to="varying")
    grads, (y, new) = jax.grad(loss, has_aux=True)(params)
    return jax.lax.pmean(grads, axes) if axes else grads, new, y

  if not devices:
    return jax.jit(run)
  return jax.jit(jax.shard_map(
      run, mesh=meshes.make_mesh(jax.devices()[:devices]),
      in_specs=(WHOLE, WHOLE, ROWS, ROWS), out_specs=(WHOLE, WHOLE, ROWS),
      axis_names={"data"},
  ))


def test_eight_devices_are_one():
  """The batch's statistics are those of all rows, and so the gradients."""
  x, row_keys = inputs(b=16), fresh.row_keys(16)
  x[:4] += 1.5  # or each device's own statistics would be near the global
  fields = dict(dropout=0.3, drop_path=0.5, remat=True)
  variables = fresh.variables(encoder_of(**fields), x)
  args = (variables["params"], variables["batch_stats"], x, row_keys)
  want = step(encoder_of(**fields), 0)(*args)
  got = step(encoder_of("data", **fields), 8)(*args)
  for name, one, two in zip(("grads", "stats", "y"), got, want, strict=True):
    one, two = flat({name: one}), flat({name: two})
    for path in two:
      np.testing.assert_allclose(
          one[path], two[path], rtol=1e-3, atol=1e-5, err_msg=str(path)
      )
  # The rows of one device by themselves would come out otherwise.
  apart, _ = jax.jit(functools.partial(
      encoder_of(**fields).apply, train=True, mutable=["batch_stats"]
  ))(variables, x[:2], row_keys=row_keys[:2])
  assert np.abs(np.asarray(apart) - want[2][:2]).max() > 0.05


@pytest.mark.parametrize("fields, message", [
    (dict(widths=(8, 12, 16)), "'widths': 3.*want one per stage"),
    (dict(repeats=(), widths=(), kernels=(), strides=(), expansions=()),
     "want one per stage"),
    (dict(kernels=(3, 0)), r"kernels: got \(3, 0\), want each 1 or more"),
    (dict(stem_stride=0), "stem_stride: got 0, want 1 or more"),
])
def test_errors_of_a_config(fields, message):
  with pytest.raises(InputError, match=message):
    encoder_of(**fields)
