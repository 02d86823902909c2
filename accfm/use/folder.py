"""The model folder: a trained encoder that needs no training code.

  model.safetensors    weights, by name
  config.json          which encoder, and what the weights must be
  contract.json        what it is fed
  golden.safetensors   a window and its embedding, computed anew at each load
  probes.json, .safetensors   what linear models read from an embedding
  ledger.json          whom it and its teacher were trained on, as pseudonyms
  checksums.json       SHA-256 of all these
  README.md            the model card, which anybody may edit

docs/model_folder.md says what each file holds. Nothing in it is code, and
nothing in it names code that a caller has not allowed.
"""

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from accfm.base import jsonfile
from accfm.base import plain as plainlib
from accfm.base import plugins as pluginlib
from accfm.base.errors import InputError
from accfm.models import build
from accfm.signals import contract as contract_lib
from accfm.signals import feed
from accfm.steps.tower import Tower
from accfm.use import readouts, sealed, weights
from accfm.use.encoder import Encoder
from accfm.use.probes import Probe
from accfm.version import __version__

FORMAT, VERSION = "accfm-model", 1
CONFIG, CONTRACT = "config.json", "contract.json"
MODEL, GOLDEN = "model.safetensors", "golden.safetensors"
LEDGER, CARD = "ledger.json", "README.md"
NEEDED = (CONFIG, CONTRACT, MODEL, GOLDEN)
SEALED = (*NEEDED, readouts.LISTED, readouts.ARRAYS, LEDGER)
WANT = "a file of a model folder; export it again, or get it anew"
# Largest difference from the golden embedding, as a share of its RMS.
TOLERANCE = {"float32": 2e-3, "bfloat16": 5e-2}


@dataclasses.dataclass(frozen=True)
class Config:
  """What `config.json` says.

  Attributes:
    format: always "accfm-model".
    version: of the format.
    accfm: version that wrote it.
    signal: name of the encoder's signal in the contract.
    encoder: config of the encoder; `family` is a name of `build.FAMILIES`, or
      a plug-in that whoever loads it has to name.
    embed_dim: D, size of an embedding.
    arrays: number of arrays in the weights' file.
    parameters: numbers in them.
    sha256: of the weights' file.
  """

  format: str
  version: int
  accfm: str
  signal: str
  encoder: Mapping[str, Any]
  embed_dim: int
  arrays: int
  parameters: int
  sha256: str


def is_folder(path: str | os.PathLike) -> bool:
  """Whether a path looks like a model folder."""
  return os.path.isfile(os.path.join(path, CONFIG)) and os.path.isfile(
      os.path.join(path, MODEL))


def write(
    path: str | os.PathLike, encoder: Encoder, probes: Iterable[Probe] = (),
    ledger: Any = None, card: str = "",
) -> None:
  """Writes a model folder, whole or not at all.

  Args:
    path: a folder that is not there yet.
    encoder: to write.
    probes: its read-outs.
    ledger: plain data, see `docs/model_folder.md`; None for none.
    card: text of README.md.

  Raises:
    InputError: there is something at `path`, or the encoder's config cannot
      be written.
  """
  path = pathlib.Path(path)
  if path.exists():
    raise InputError(f"--output: {path} is there already; choose another name")
  flat = weights.flatten(encoder.tower.variables)
  partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
  partial.mkdir(parents=True)
  try:
    weights.save(partial / MODEL, flat)
    spec = encoder.contract.signals[encoder.signal]
    own = dataclasses.replace(
        encoder.contract, signals={encoder.signal: spec})
    weights.write_json(partial / CONTRACT, own.to_dict())
    weights.write_json(partial / CONFIG, plainlib.to_plain(Config(
        FORMAT, VERSION, __version__, encoder.signal, encoder.config,
        int(encoder.tower.encoder.embed_dim), len(flat),
        int(sum(x.size for x in flat.values())),
        weights.digest(partial / MODEL))))
    window = golden_window(own.length(encoder.signal), spec.channels)
    weights.save(partial / GOLDEN, {
        "window": window, "embedding": _embed_exactly(encoder, window)})
    readouts.write(partial, probes)
    if ledger is not None:
      weights.write_json(partial / LEDGER, ledger)
    sealed.write(partial, SEALED)
    (partial / CARD).write_text(card, encoding="utf-8")
    os.replace(partial, path)
  finally:
    shutil.rmtree(partial, ignore_errors=True)


def load(
    path: str | os.PathLike, signal: str | None = None,
    plugins: Iterable[str] = (),
) -> Encoder:
  """The encoder of a model folder, after all checks.

  Args:
    path: the folder.
    signal: whose encoder it must be; None for any.
    plugins: code outside accfm that it needs and that you trust.

  Raises:
    InputError: a file is absent or damaged, the weights are not those that
      the config describes, or the golden window's embedding comes out
      differently here.
  """
  path = pathlib.Path(path)
  pluginlib.allow(plugins)
  config = _config(path)
  sealed.check(path, SEALED, NEEDED)
  if signal not in (None, config.signal):
    raise InputError(
        f"signal: got {signal!r}, want {config.signal!r}: {path} has no other "
        "encoder"
    )
  contract = contract_lib.from_dict(
      jsonfile.read_object(path / CONTRACT, WANT), os.fspath(path / CONTRACT))
  if config.signal not in contract.signals:
    raise InputError(
        f"{path / CONFIG}: signal is {config.signal!r}, the contract has "
        f"{sorted(contract.signals)}"
    )
  if weights.digest(path / MODEL) != config.sha256:
    raise InputError(
        f"{path / MODEL}: is not the file that {CONFIG} was written for (its "
        "SHA-256 differs); get the model folder again"
    )
  flat = weights.load(path / MODEL)
  weights.check_counts(
      flat, config.arrays, config.parameters, os.fspath(path / MODEL))
  spec = contract.signals[config.signal]
  samples = contract.length(config.signal)
  weights.check_sizes(
      config.encoder, max(config.parameters, samples),
      os.fspath(path / CONFIG))
  module = build.build_encoder(config.encoder)
  if module.embed_dim != config.embed_dim:
    raise InputError(
        f"{path / CONFIG}: embed_dim is {config.embed_dim}, the encoder's "
        f"{module.embed_dim}; get the model folder again")
  weights.check_fits(
      flat, module, samples, spec.channels, os.fspath(path / MODEL))
  tower = Tower(
      variables=weights.nest(flat), head_variables=None, signal=config.signal,
      encoder=module, head=None, normalize=feed.make_normalize(spec))
  encoder = Encoder(tower, contract, config.signal, config.encoder,
                    readouts.read(path, config.embed_dim))
  _check_golden(path, encoder)
  return encoder


def ledger(path: str | os.PathLike) -> Any:
  """The plain data of `ledger.json`; None where there is none."""
  file = pathlib.Path(path, LEDGER)
  return jsonfile.read_object(file, WANT) if os.path.lexists(file) else None


def golden_window(samples: int, channels: int) -> np.ndarray:
  """[T, C] float32: simulated, the same for everybody.

  Gravity on the last channel, a wave that comes again, a burst.
  """
  t = np.arange(samples) / samples
  beat = np.exp(-((t * 66 % 1.0) * 9.0)) * np.sin(2 * np.pi * 500 * t)
  out = np.stack([
      0.01 * (1 + c) * beat + 0.002 * np.sin(2 * np.pi * (7 + c) * t + c)
      + 0.2 * np.exp(-((t - 0.3 - 0.2 * c / channels) * 40) ** 2)
      for c in range(channels)
  ], 1)
  out[:, -1] += 1.0
  return out.astype(np.float32)


def _stored(window):
  from accfm.data import quantise

  values, scale = quantise.quantise(window)
  return values[None], scale[None]


def _embed_exactly(encoder, window):
  """[D] of a window, as alike on all devices as they can make it.

  By themselves TPUs and newer GPUs multiply float32 with fewer bits.
  """
  with jax.default_matmul_precision("highest"):
    return encoder.embed_stored(*_stored(window))[0]


def _config(path):
  plain = jsonfile.read_object(path / CONFIG, WANT)
  if plain.get("format") != FORMAT:
    raise InputError(
        f"{path / CONFIG}: got format {plain.get('format')!r}, want {FORMAT!r}")
  version = plain.get("version")
  if not isinstance(version, int) or not 1 <= version <= VERSION:
    raise InputError(
        f"{path / CONFIG}: got version {version!r}, want 1 to {VERSION}; a "
        "newer accfm wrote it: upgrade accfm"
    )
  return plainlib.from_plain(Config, plain, os.fspath(path / CONFIG))


def _check_golden(path, encoder):
  """Raises InputError unless the golden window comes out as it was."""
  found = weights.load(path / GOLDEN)
  window, want = found.get("window"), found.get("embedding")
  shape = (encoder.contract.length(encoder.signal),
           encoder.contract.signals[encoder.signal].channels)
  if window is None or want is None or window.shape != shape or (
      {window.dtype.kind, want.dtype.kind} != {"f"}):
    raise InputError(
        f"{path / GOLDEN}: want a window {list(shape)} and its embedding, "
        "both of floats")
  got = _embed_exactly(encoder, window)
  if got.shape != want.shape:
    raise InputError(
        f"{path / GOLDEN}: the embedding has {list(want.shape)} numbers, the "
        f"encoder gives {list(got.shape)}"
    )
  dtype = str(encoder.config.get("dtype", "float32"))
  size = float(np.sqrt(np.mean(np.square(want)))) + 1e-12
  off = float(np.abs(got - want).max()) / size
  if not off <= TOLERANCE.get(dtype, 2e-3):
    raise InputError(
        f"{path}: the golden window's embedding differs by {off:.2g} of its "
        f"size, want {TOLERANCE.get(dtype, 2e-3):.2g}: other weights, another "
        "precision, or a library that computes something else"
    )
