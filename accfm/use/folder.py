"""The model folder: a trained encoder that needs no training code.

  model.safetensors    weights, by name
  config.json          which encoder, and what the weights must be
  contract.json        what it is fed
  golden.safetensors   a window and its embedding, computed anew at each load
  probes.json, .safetensors   what linear models read from an embedding
  ledger.json          whom it and its teacher were trained on, as pseudonyms
  README.md            the model card

docs/model_folder.md says what each file holds. Nothing in it is code, and
nothing in it names code that a caller has not allowed.
"""

import dataclasses
import json
import os
import pathlib
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from accfm.base import jsonfile
from accfm.base import plain as plainlib
from accfm.base import plugins as pluginlib
from accfm.base.errors import InputError
from accfm.models import build
from accfm.signals import contract as contract_lib
from accfm.signals import feed
from accfm.steps.towers import Tower
from accfm.use import weights
from accfm.use.encoder import Encoder
from accfm.use.probes import Probe
from accfm.version import __version__

FORMAT, VERSION = "accfm-model", 1
CONFIG, CONTRACT = "config.json", "contract.json"
MODEL, GOLDEN = "model.safetensors", "golden.safetensors"
PROBES, READ_OUT = "probes.json", "probes.safetensors"
LEDGER, CARD = "ledger.json", "README.md"
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
    _write(partial / CONTRACT, own.to_dict())
    _write(partial / CONFIG, plainlib.to_plain(Config(
        FORMAT, VERSION, __version__, encoder.signal, encoder.config,
        int(encoder.tower.encoder.embed_dim), len(flat),
        int(sum(x.size for x in flat.values())),
        weights.digest(partial / MODEL))))
    window = golden_window(own.length(encoder.signal), spec.channels)
    weights.save(partial / GOLDEN, {
        "window": window, "embedding": encoder.embed_stored(
            *_stored(window))[0]})
    probes = list(probes)
    if probes:
      _write(partial / PROBES, [
          {"name": p.name, "kind": "ridge", "unit": p.unit, "bias": p.bias,
           "half_width": p.half_width if np.isfinite(p.half_width) else None,
           "coverage": p.coverage, "people": p.people} for p in probes])
      weights.save(partial / READ_OUT, {
          f"{p.name}/{part}": getattr(p, part) for p in probes
          for part in ("mean", "sd", "weight")})
    if ledger is not None:
      _write(partial / LEDGER, ledger)
    (partial / CARD).write_text(card)
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
  if weights.digest(_there(path / MODEL)) != config.sha256:
    raise InputError(
        f"{path / MODEL}: is not the file that {CONFIG} was written for (its "
        "SHA-256 differs); get the model folder again"
    )
  flat = weights.load(path / MODEL)
  module = build.build_encoder(config.encoder)
  spec = contract.signals[config.signal]
  weights.check_fits(
      flat, module, contract.length(config.signal), spec.channels,
      os.fspath(path / MODEL))
  tower = Tower(
      variables=weights.nest(flat), head_variables=None, signal=config.signal,
      encoder=module, head=None, normalize=feed.make_normalize(spec))
  encoder = Encoder(tower, contract, config.signal, config.encoder,
                    _probes(path, config.embed_dim))
  _check_golden(path, encoder)
  return encoder


def ledger(path: str | os.PathLike) -> Any:
  """The plain data of `ledger.json`; None where there is none."""
  file = pathlib.Path(path, LEDGER)
  return jsonfile.read_object(file, WANT) if file.exists() else None


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


def _write(path, plain):
  path.write_text(json.dumps(plain, indent=2, sort_keys=True) + "\n")


def _there(path):
  if not path.is_file():
    raise InputError(f"{path}: is not there; want {WANT}")
  return path


def _config(path):
  plain = jsonfile.read_object(_there(path / CONFIG), WANT)
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


def _probes(path, dim):
  """The Probes of a folder, () without any."""
  if not (path / PROBES).exists():
    return ()
  listed = jsonfile.read(path / PROBES, WANT)
  arrays = weights.load(_there(path / READ_OUT))
  out = []
  for place, one in enumerate(listed if isinstance(listed, list) else [None]):
    where = f"{path / PROBES}[{place}]"
    one = jsonfile.as_object(one, where, WANT)
    if one.get("kind") != "ridge":
      raise InputError(
          f"{where}: got kind {one.get('kind')!r}, want 'ridge'; a newer "
          "accfm wrote it: upgrade accfm"
      )
    parts = {}
    for part in ("mean", "sd", "weight"):
      x = arrays.get(f"{one.get('name')}/{part}")
      if x is None or x.shape != (dim,):
        raise InputError(f"{path / READ_OUT}: no {part} [{dim}] of {where}")
      parts[part] = np.asarray(x, np.float64)
    width = one.get("half_width")
    made = plainlib.from_plain(_Said, {
        k: v for k, v in one.items() if k != "half_width"}, where)
    out.append(Probe(
        made.name, made.unit, bias=made.bias, coverage=made.coverage,
        people=made.people,
        half_width=float("inf") if width is None else float(width), **parts))
  return tuple(out)


@dataclasses.dataclass(frozen=True)
class _Said:
  """What `probes.json` says of a probe, apart from its interval."""

  name: str
  kind: str
  unit: str
  bias: float
  coverage: float
  people: int


def _check_golden(path, encoder):
  """Raises InputError unless the golden window comes out as it was."""
  found = weights.load(_there(path / GOLDEN))
  window, want = found.get("window"), found.get("embedding")
  shape = (encoder.contract.length(encoder.signal),
           encoder.contract.signals[encoder.signal].channels)
  if window is None or want is None or window.shape != shape:
    raise InputError(
        f"{path / GOLDEN}: want a window {list(shape)} and its embedding")
  got = encoder.embed_stored(*_stored(window))[0]
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
