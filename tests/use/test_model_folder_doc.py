"""A reader written from docs/model_folder.md alone reads a model folder."""

import hashlib
import hmac
import json
import pathlib
import re
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from accfm.models import build
from accfm.signals import contract as contract_lib
from accfm.signals import feed
from accfm.steps import record as recordlib
from accfm.steps.tower import Tower
from accfm.use import folder, ledger, probes, readouts, sealed
from accfm.use.encoder import Encoder
from tests.fuzz.test_json import CONTRACT, RECORD

DOC = (pathlib.Path(__file__).parents[2] / "docs" / "model_folder.md"
       ).read_text()
TYPES = {"F32": np.float32, "F64": np.float64, "I16": np.int16}


def arrays(path):
  """A safetensors file: size of the header, header, bytes."""
  data = path.read_bytes()
  size, = struct.unpack("<Q", data[:8])
  out = {}
  for name, one in json.loads(data[8:8 + size]).items():
    start, end = one["data_offsets"]
    out[name] = np.frombuffer(
        data[8 + size + start:8 + size + end], TYPES[one["dtype"]]
    ).reshape(one["shape"])
  return out


@pytest.fixture(scope="module", params=["vit_tiny", "efficientnet_tiny"])
def model(request, tmp_path_factory):
  contract = contract_lib.from_dict(CONTRACT)
  config = dict(build.encoder_config(request.param))
  module = build.build_encoder(config)
  variables = module.init(
      jax.random.key(0), jnp.zeros((1, contract.length("acc"), 3)))
  tower = Tower(variables, None, "acc", module, None,
                feed.make_normalize(contract.signals["acc"]))
  rng = np.random.default_rng(0)
  x = rng.normal(size=(40, module.embed_dim))
  probe = probes.fit("hr", "bpm", x, x[:, 0], 1.0, x, x[:, 1], np.arange(40))
  path = tmp_path_factory.mktemp("models") / "m"
  folder.write(
      path, Encoder(tower, contract, "acc", config), [probe],
      recordlib.to_plain(ledger.make(recordlib.from_plain(RECORD), "pepper")),
      "card")
  return path


def stored(window):
  """float32 [T, C] as training data are rounded."""
  peak = np.abs(window.astype(np.float64)).max(0)
  scale = np.where(peak > 0, peak / 32767, 1).astype(np.float32)
  whole = np.rint(window / scale.astype(np.float64))
  return np.clip(whole, -32767, 32767).astype(np.float32) * scale


def zscore(x):
  out = x - x.mean(0)
  sd = out.std(0)
  return np.where(sd > 1e-5 * np.abs(x).max(0), out / sd, 0)


def test_the_golden_embedding(model):
  config = json.loads((model / "config.json").read_text())
  golden = arrays(model / "golden.safetensors")
  flat = arrays(model / "model.safetensors")
  assert (config["arrays"], config["parameters"]) == (
      len(flat), sum(x.size for x in flat.values()))
  nested = {}
  for name, x in flat.items():
    place = nested
    *parts, last = name.split("/")
    for part in parts:
      place = place.setdefault(part, {})
    place[last] = x
  assert set(nested) <= {"params", "batch_stats"}
  x = zscore(stored(golden["window"]).astype(np.float64))
  got = build.build_encoder(config["encoder"]).apply(
      nested, jnp.asarray(x[None], jnp.float32), train=False)[0]
  want = golden["embedding"]
  assert want.shape == (config["embed_dim"],)
  np.testing.assert_allclose(
      got, want, atol=2e-3 * np.sqrt(np.mean(want ** 2)))


def test_a_read_out(model):
  one, = json.loads((model / "probes.json").read_text())
  parts = arrays(model / "probes.safetensors")
  mean, sd, weight = (parts[f"hr/{n}"] for n in ("mean", "sd", "weight"))
  vector = np.linspace(-1, 1, len(mean))
  value = one["bias"] + np.sum(weight * (vector - mean) / sd)
  got = folder.load(model).probes[0].predict(vector[None])
  np.testing.assert_allclose(
      np.ravel(got),
      [value, value - one["half_width"], value + one["half_width"]])


def test_a_pseudonym_and_the_hashes(model):
  cohort, = json.loads((model / "ledger.json").read_text())["cohorts"]
  digits = hmac.new(b"pepper", b"1", "sha256").hexdigest()[:12]
  assert cohort["salt"] == "pepper"
  assert f"toy/{digits}" in cohort["splits"]["train"]
  hashes = json.loads((model / "checksums.json").read_text())
  for name, want in hashes.items():
    found = hashlib.sha256((model / name).read_bytes()).hexdigest()
    assert found == want, name
  assert set(hashes) == set(folder.SEALED)


def test_every_file_and_field_is_described(model):
  for name in (*folder.SEALED, sealed.FILE, folder.CARD):
    assert f"`{name}`" in DOC, name
  words = set(re.findall(r"`([\w/]+)`", DOC))
  contract = json.loads((model / "contract.json").read_text())
  cohort, = json.loads((model / "ledger.json").read_text())["cohorts"]
  for plain in (
      json.loads((model / "config.json").read_text()), contract,
      contract["signals"]["acc"], cohort,
      json.loads((model / "probes.json").read_text())[0],
  ):
    assert set(plain) <= words, set(plain) - words
  assert set(readouts.KINDS) <= words and set(build.FAMILIES) <= words


@pytest.mark.parametrize("coverage, people", [(0.8, 4), (0.9, 9)])
def test_people_that_an_interval_needs(coverage, people):
  assert re.search(rf"{coverage:.0%}".replace("%", r" % needs")
                   + rf" {people}\b", DOC)
  for count in (people, people - 1):
    width = probes.half_width(np.ones(count), np.arange(count), coverage)
    assert np.isfinite(width) == (count == people)
