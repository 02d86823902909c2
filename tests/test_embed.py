"""Device files to tables of embeddings, as a user runs it."""

import calendar
import csv
import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pyarrow.parquet as parquet
import pytest

import accfm
from accfm import collate, distill, embed, export
from accfm.base.errors import InputError
from accfm.configs import acc_distill
from accfm.configs import collate as collate_config
from accfm.configs import embed as embed_config
from accfm.configs import export as export_config
from accfm.configs import prepare as prepare_config
from accfm.data import allowed, staging
from accfm.data.sources import cwa, detect
from accfm.use import folder_run, zones
from tests.data import cwa_writer

T0 = calendar.timegm(cwa_writer.START)


@pytest.fixture(scope="module")
def model(simulated, tmp_path_factory):
  """A model folder of 8 s segments with a read-out of heart rate."""
  folder = tmp_path_factory.mktemp("model")
  config = acc_distill.get_config("tiny")
  config.data_dir, config.teacher_mode = simulated, "scratch"
  distill.run(config, str(folder / "run"))
  config = export_config.get_config()
  config.data_dir, config.coverage = simulated, 0.6
  config.probes = ("labels/hr_bpm",)
  export.run(config, str(folder / "run"), str(folder / "m"))
  return str(folder / "m")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
  """Two sound recordings, one that is none, one of another kind."""
  folder = tmp_path_factory.mktemp("files")
  (folder / "b").mkdir()
  cwa_writer.write(folder / "P1.cwa", 400, gaps=[(150, 30.0)], bad=[7])
  cwa_writer.write(folder / "b" / "P1.cwa", 100)
  (folder / "b" / "bad.cwa").write_bytes(b"MD\xfc\x03" + bytes(2000))
  (folder / "notes.xyz").write_text("?")
  return folder


def config_of(**fields):
  config = embed_config.get_config().unlock()
  config.update(fields)
  return config


@pytest.fixture(scope="module")
def output(model, files, tmp_path_factory):
  out = tmp_path_factory.mktemp("out")
  assert embed.run(config_of(tz="Europe/Berlin"), model, str(files),
                   str(out)) == 1
  return out


def read(path):
  return parquet.read_table(path).to_pydict()


def test_a_table_for_each_recording(output, files):
  assert sorted(p.relative_to(output).as_posix()
                for p in output.rglob("*.parquet")) == [
      "P1.parquet", "b/P1.parquet", "days.parquet", "recordings.parquet"]
  table = read(output / "P1.parquet")
  assert set(table["participant"]) == {"P1"}
  assert set(read(output / "b" / "P1.parquet")["participant"]) == {"b_P1"}
  assert len(table["qc"]) == 53  # of 8 s in 430 s
  for qc, vector, value, low, high in zip(
      table["qc"], table["acc/embedding"], table["probe_hr/bpm"],
      table["probe_hr/bpm_low"], table["probe_hr/bpm_high"], strict=True):
    assert (vector is None) == (value is None) == (qc != "")
    if vector is not None:
      assert np.isfinite(vector).all() and low < value < high
  assert "gap" in table["qc"]


def test_the_embedding_is_that_of_a_data_set(model, files, output):
  """The same minute prepared as shards are, embedded by hand."""
  encoder = accfm.load(model)
  config = prepare_config.get_config("cwa")
  config.window_sec = config.hop_sec = 8.0
  raw = cwa.read(files / "P1.cwa", "P1")
  arrays, _ = staging.cut_recording(raw, staging.Rules(
      contract=allowed.check(config), hop_sec=8.0,
      labels=config.labels.to_dict(), quality=config.quality.to_dict()))
  want = dict(zip(arrays["start_s"].tolist(), encoder.embed_stored(
      arrays["acc.values"], arrays["acc.scale"]), strict=True))
  table = read(output / "P1.parquet")
  got = {s: v for s, v in zip(
      table["start_s"], table["acc/embedding"], strict=True) if v is not None}
  assert got.keys() == want.keys() and len(got) > 20
  for start, vector in got.items():
    np.testing.assert_allclose(vector, want[start], atol=1e-5)


def test_times(output):
  table = read(output / "P1.parquet")
  assert table["start_s"][0] == pytest.approx(T0, abs=0.1)  # local
  assert set(table["utc_offset_s"]) == {3600}
  assert table["start_utc"][0].timestamp() == pytest.approx(
      T0 - 3600, abs=0.1)


def test_what_failed_is_listed(output):
  rows = read(output / "recordings.parquet")
  failed = dict(zip(rows["recording"], rows["failed"], strict=True))
  assert failed["P1.cwa"] == "" and "none of" in failed["b/bad.cwa"]
  k = rows["recording"].index("P1.cwa")
  assert json.loads(rows["notes"][k]) == {"blocks damaged": 1, "gaps": 2}
  assert rows["rest_g"][k] == pytest.approx(1.0, abs=0.02)


def test_days_add_up(output):
  rows = read(output / "days.parquet")
  table = read(output / "P1.parquet")
  k = rows["participant"].index("P1")
  assert rows["day"][k] == "2021-03-14"
  assert rows["windows"][k] == len(table["qc"])
  good = [v for v in table["probe_hr/bpm"] if v is not None]
  assert rows["good"][k] == len(good)
  assert rows["probe_hr/bpm_mean"][k] == pytest.approx(np.mean(good), rel=1e-3)


def test_run_again_nothing_is_done_again(model, files, output, monkeypatch):
  before = (output / "P1.parquet").stat().st_mtime_ns
  monkeypatch.setattr(folder_run.recordings, "embed",
                      lambda *a, **k: pytest.fail("embedded again"))
  assert embed.run(config_of(tz="Europe/Berlin"), model, str(files),
                   str(output)) == 1
  assert (output / "P1.parquet").stat().st_mtime_ns == before
  assert len(read(output / "days.parquet")["day"]) == 2


def test_a_changed_file_is_embedded_again(model, tmp_path):
  cwa_writer.write(tmp_path / "in.cwa", 60)
  out = tmp_path / "out"
  embed.run(config_of(), model, str(tmp_path / "in.cwa"), str(out))
  count = len(read(out / "in.parquet")["qc"])
  cwa_writer.write(tmp_path / "in.cwa", 120)
  embed.run(config_of(), model, str(tmp_path / "in.cwa"), str(out))
  table = read(out / "in.parquet")
  assert len(table["qc"]) > count
  assert set(table["start_utc"]) == {None}  # no zone is known


def test_output_of_another_model_stays(model, files, output):
  encoder = accfm.load(model)
  other = dataclasses.replace(encoder, tower=encoder.tower.replace(
      variables=jax.tree.map(lambda x: x + 1, encoder.tower.variables)))
  job = folder_run.Job(
      other, folder_run.recordings.How(8.0, {}), "", str(output),
      folder_run.identity("", other))
  found, _ = detect.detect(files / "P1.cwa")
  failed = folder_run.embed_all(found, job, lambda: None)
  assert "is of another model; choose another" in failed["P1.cwa"]


def test_shards_share_the_work(model, files, tmp_path):
  for i in range(2):
    embed.run(config_of(shard=f"{i}/2"), model, str(files), str(tmp_path))
  assert (tmp_path / "P1.parquet").exists()
  assert (tmp_path / "b" / "P1.parquet").exists()
  assert (tmp_path / "recordings.0-of-2.parquet").exists()
  for shard in ("2/2", "x", "1", "-1/2"):
    with pytest.raises(InputError, match="want i/n with i from 0"):
      folder_run.share([], shard)


def test_a_rate_below_the_models(model, tmp_path):
  cwa_writer.write(tmp_path / "slow.cwa", 100, rate=50)
  with pytest.raises(InputError, match=r"50 Hz, the model .* at 64 Hz; --conf"):
    embed.run(config_of(), model, str(tmp_path), str(tmp_path / "out"))
  assert embed.run(config_of(allow_upsampling=True), model, str(tmp_path),
                   str(tmp_path / "out")) == 0


def test_exit_status_and_lines(model, files, tmp_path):
  done = subprocess.run(
      [sys.executable, "-m", "accfm.embed", f"--model={model}",
       f"--input={files}", f"--output={tmp_path / 'out'}"],
      capture_output=True, text=True, env={**os.environ})
  assert done.returncode == 3, done.stderr
  assert "failed: b/bad.cwa:" in done.stderr
  assert "left out, of no known device: 1 file(s)" in done.stdout
  assert "Traceback" not in done.stderr


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_collate(output, tmp_path, ending):
  path = tmp_path / f"all.{ending}"
  rows = collate.run(collate_config.get_config(), str(output), str(path))
  counts = [len(read(output / name)["qc"])
            for name in ("P1.parquet", "b/P1.parquet")]
  assert rows == sum(counts)
  if ending == "parquet":
    assert len(read(path)["qc"]) == rows
  else:
    lines = list(csv.reader(path.read_text().splitlines()))
    assert len(lines) == rows + 1 and len({len(line) for line in lines}) == 1
    assert "acc/embedding/0" in lines[0]


def test_collate_the_good_ones_alone(output, tmp_path):
  config = collate_config.get_config()
  config.good_only = True
  path = tmp_path / "good.parquet"
  rows = collate.run(config, str(output), str(path))
  table = read(path)
  assert set(table["qc"]) == {""} and len(table["qc"]) == rows > 20
  assert None not in table["acc/embedding"]


def test_collate_refuses(output, tmp_path):
  with pytest.raises(InputError, match="want a .parquet or .csv file"):
    collate.run(collate_config.get_config(), str(output), "x.txt")
  with pytest.raises(InputError, match="no table of accfm embed"):
    collate.run(collate_config.get_config(), str(tmp_path),
                str(tmp_path / "x.csv"))


def test_offsets_across_daylight_saving():
  berlin = zones.zone("Europe/Berlin")
  night = calendar.timegm((2021, 3, 28, 0, 0, 0))
  t = night + np.array([0, 3599, 3600, 7200])
  np.testing.assert_array_equal(
      zones.offsets(t, berlin, local=False), [3600, 3600, 7200, 7200])
  local = night + np.array([0, 3600, 3 * 3600])
  np.testing.assert_array_equal(
      zones.offsets(local, berlin, local=True), [3600, 3600, 7200])
  for name in ("Berlin", "+25:00", "../etc/passwd", ""):
    with pytest.raises(InputError, match="want a zone such as"):
      zones.zone(name)


def test_real_files_of_all_devices(model, real_data, tmp_path):
  root = real_data / "device_files"
  found, _ = detect.detect(root)
  assert {one.source for one in found} == {
      "cwa", "geneactiv", "gt3x", "embraceplus"}
  failed = embed.run(
      config_of(allow_upsampling=True), model, str(root), str(tmp_path))
  rows = read(tmp_path / "recordings.parquet")
  assert failed == sum(bool(f) for f in rows["failed"])
  good = {r for r, f in zip(rows["recording"], rows["failed"], strict=True)
          if not f}
  assert {"axivity/ax3_a.cwa", "axivity/ax6_a.cwa",
          "actigraph/actigraph_b.gt3x", "geneactiv/geneactiv_b.bin"} <= good
  # Files of two years in one folder are no session.
  k = rows["recording"].index("embraceplus")
  assert "make two recordings of it" in rows["failed"][k]
  assert pathlib.Path(tmp_path, "axivity", "ax3_a.parquet").exists()
