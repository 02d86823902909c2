"""Readers of device files: values, clocks, damage."""

import ast
import calendar
import shutil

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.configs import prepare as prepare_config
from accfm.data import allowed, staging
from accfm.data.sources import (
  SOURCES,
  cwa,
  embraceplus,
  geneactiv,
  gt3x,
  native,
  single_files,
  sliced,
)
from tests.data import cwa_writer

T0 = calendar.timegm(cwa_writer.START)


@pytest.fixture
def devices(real_data):
  return real_data / "device_files"


def whole(signal):
  return signal.values[0:len(signal.values)]


# --- what the files of devices say -------------------------------------------


@pytest.mark.parametrize("name", ["ax3_a", "ax6_a"])
def test_a_cwa_file_against_another_readers_values(devices, name):
  raw = cwa.read(devices / "axivity" / f"{name}.cwa", "p")
  with np.load(devices / "axivity" / f"{name}_values.npz") as want:
    np.testing.assert_allclose(
        whole(raw.signals["acc"]), want["accel"], atol=1e-6)
    # The other reader takes the first stamps as they are.
    assert raw.start_s == pytest.approx(want["time"][0], abs=0.05)
    assert raw.signals["acc"].end_s == pytest.approx(
        want["time"][-1], abs=0.1)
  assert raw.local and not raw.notes


def test_damaged_blocks_are_left_out_alone(devices):
  folder = devices / "axivity"
  sound = cwa.read(folder / "ax3_c.cwa", "p").signals["acc"]
  raw = cwa.read(
      folder / "ax3_c_blocks_0_13_14_142_143_144_corrupt.cwa", "p")
  assert raw.notes == {"blocks damaged": 6, "gaps": 1}
  x = whole(sound).reshape(-1, 120, 3)
  keep = np.delete(np.arange(145), [0, 13, 14, 142, 143, 144])
  np.testing.assert_array_equal(
      whole(raw.signals["acc"]), x[keep].reshape(-1, 3))
  first, second = raw.signals["acc"].clock.stretches(16_680)
  assert second.begin_s - first.end_s == pytest.approx(2.43, abs=0.1)


def test_a_geneactiv_file_against_another_readers_values(devices):
  raw = geneactiv.read(devices / "geneactiv" / "geneactiv_a.bin", "p")
  with np.load(devices / "geneactiv" / "geneactiv_a_values.npz") as want:
    np.testing.assert_allclose(
        whole(raw.signals["acc"]), want["accel"], atol=1e-4)
    # The other reader forgets the zone.
    assert raw.start_s - 4 * 3600 == pytest.approx(want["time"][0], abs=0.01)
  assert raw.zone == "-04:00" and not raw.local


def test_an_actigraph_file(devices):
  raw = gt3x.read(devices / "actigraph" / "actigraph_b.gt3x", "p")
  signal = raw.signals["acc"]
  assert signal.values.shape == (4860, 3) and signal.rate_hz == 60
  assert np.median(np.linalg.norm(signal.values, axis=1)) == pytest.approx(
      1.0, abs=0.02)
  assert raw.zone == "-05:00"
  assert signal.end_s - signal.start_s == pytest.approx(81.0, abs=0.1)


@pytest.mark.parametrize("name, zone", [
    ("half_hour", "+01:00"), ("fw2_short", "-05:00")])
def test_an_embraceplus_file(devices, name, zone):
  raw = embraceplus.read(
      [str(devices / "embraceplus" / f"{name}.avro")], "p")
  assert raw.zone == zone and set(raw.signals) == {"acc", "ppg"}
  x = whole(raw.signals["acc"])
  assert np.median(np.linalg.norm(x, axis=1)) == pytest.approx(1, abs=0.05)
  assert raw.beats is not None and raw.beats.signal == "ppg"
  interval = np.median(raw.beats.interval_s)
  assert 0.4 < interval < 1.3


def test_a_folder_of_half_hours_is_one_session(real_data):
  folder = real_data / "embraceplus"
  names = embraceplus.list_recordings(folder, None)
  assert names == ["P1", "P2", "P3"]
  raw = embraceplus.read_recording(folder, "P1", None)
  files = embraceplus.recording_files(folder, "P1", None)
  clock = raw.signals["acc"].clock
  assert len(clock.first) == len(files) > 10
  assert (np.diff(clock.start_s) > 0).all()
  # Each signal has its own start.
  assert raw.signals["acc"].start_s != raw.signals["ppg"].start_s


# --- files of any length -----------------------------------------------------


def test_a_written_file_is_read_back(tmp_path):
  path = tmp_path / "a.cwa"
  blocks = cwa_writer.write(path, 600, gaps=[(200, 33.0)], bad=[10, 350])
  raw = cwa.read(path, "p")
  signal = raw.signals["acc"]
  assert len(signal.values) == (blocks - 2) * 120
  assert raw.notes == {"blocks damaged": 2, "gaps": 3}
  assert raw.start_s == pytest.approx(T0, abs=0.01)
  assert signal.end_s == pytest.approx(T0 + 633, abs=0.1)
  want = np.rint(cwa_writer.movement(0, blocks * 120, 100) * 64) / 64
  keep = np.delete(np.arange(blocks), [10, 350])
  np.testing.assert_allclose(
      whole(signal), want.reshape(-1, 120, 3)[keep].reshape(-1, 3), atol=1e-6)


def test_any_slice_is_that_of_the_whole(tmp_path, monkeypatch):
  path = tmp_path / "a.cwa"
  cwa_writer.write(path, 120)
  everything = whole(cwa.read(path, "p").signals["acc"])
  monkeypatch.setattr(sliced, "TOGETHER", 1000)
  values = cwa.read(path, "p").signals["acc"].values
  rng = np.random.default_rng(0)
  for _ in range(20):
    a, b = sorted(rng.integers(0, len(everything) + 1, 2))
    np.testing.assert_array_equal(values[a:b], everything[a:b])


def test_a_rate_that_is_not_the_stated_one(tmp_path):
  path = tmp_path / "a.cwa"
  cwa_writer.write(path, 900, true_rate=98.6)
  clock = cwa.read(path, "p").signals["acc"].clock
  np.testing.assert_allclose(clock.rate_hz, 98.6, rtol=1e-3)


def test_acceleration_alone_is_cut(tmp_path):
  cwa_writer.write(tmp_path / "P01.cwa", 700, gaps=[(300, 40.0)])
  config = prepare_config.get_config("cwa")
  assert list(config.signals) == ["acc"]
  names = cwa.list_recordings(tmp_path, config.source_cfg)
  raw = cwa.read_recording(tmp_path, names[0], config.source_cfg)
  assert raw.participant == "P01"
  arrays, summary = staging.cut_recording(raw, staging.Rules(
      contract=allowed.check(config), hop_sec=60.0,
      labels=config.labels.to_dict(), quality=config.quality.to_dict()))
  # A still wrist in coarse steps is constant now and then.
  assert summary["windows"] >= 9 and summary["rejected"]["gap"] == 1
  assert arrays["acc.values"].shape[1:] == (3840, 3)


def test_names_hold_the_folders(tmp_path):
  for name in ("a/P1.cwa", "b/P1.CWA", ".hidden.cwa", "x.txt"):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"")
  names = cwa.list_recordings(tmp_path, None)
  assert names == ["a/P1.cwa", "b/P1.CWA"]
  assert [single_files.participant(n) for n in names] == ["a_P1", "b_P1"]
  with pytest.raises(InputError, match="leads out of"):
    single_files.path(tmp_path, "../x.cwa", None)


# --- what is no sound file ---------------------------------------------------


@pytest.mark.parametrize("content, message", [
    (b"", "no CWA file: it begins with b''"),
    (b"PK\x03\x04" * 500, "no CWA file"),
    (cwa_writer.header(0x4A), "got 1,024 bytes, a header without samples"),
    (cwa_writer.header(0x4A) + bytes(200), "a header without samples"),
    (cwa_writer.header(0x4A) + bytes(2048), "none of 4 blocks is sound"),
])
def test_what_is_no_cwa_file(tmp_path, content, message):
  (tmp_path / "a.cwa").write_bytes(content)
  with pytest.raises(InputError, match=message):
    cwa.read(tmp_path / "a.cwa", "p")


@pytest.mark.parametrize("source, name", [
    (geneactiv, "a.bin"), (gt3x, "a.gt3x")])
@pytest.mark.parametrize("content", [b"", b"abc", b"PK\x03\x04" * 99])
def test_another_file_behind_the_name(tmp_path, source, name, content):
  (tmp_path / name).write_bytes(content)
  assert not source.recognise(tmp_path / name)
  with pytest.raises(InputError, match=f"{name}: no "):
    source.read(tmp_path / name, "p")


@pytest.mark.parametrize("keep", [1024, 1030, 1024 + 512 * 3 + 77, 30_000])
def test_a_file_cut_short_anywhere(tmp_path, keep):
  path = tmp_path / "a.cwa"
  cwa_writer.write(path, 100)
  path.write_bytes(path.read_bytes()[:keep])
  blocks, rest = divmod(keep - 1024, 512)
  if not blocks:
    with pytest.raises(InputError, match="a header without samples"):
      cwa.read(path, "p")
    return
  raw = cwa.read(path, "p")
  assert len(whole(raw.signals["acc"])) == blocks * 120
  assert raw.notes == {"bytes after the last block": rest}


def test_damaged_pages_of_geneactiv_are_left_out(devices, tmp_path):
  path = tmp_path / "b.bin"
  shutil.copy(devices / "geneactiv" / "geneactiv_b.bin", path)
  sound = whole(geneactiv.read(path, "p").signals["acc"])
  data = bytearray(path.read_bytes())
  at = [i for i in range(len(data)) if data.startswith(b"Recorded Data", i)]
  data[at[4] + 900] = ord("?")
  path.write_bytes(data[:-50])
  raw = geneactiv.read(path, "p")
  assert raw.notes["pages damaged"] == 2
  pages = np.delete(np.arange(20), [4, 19])
  np.testing.assert_array_equal(
      whole(raw.signals["acc"]),
      sound.reshape(20, 300, 3)[pages].reshape(-1, 3))


def test_a_damaged_avro_file_of_a_folder_is_counted(real_data, tmp_path):
  files = embraceplus.recording_files(real_data / "embraceplus", "P1", None)
  for file in files[:2]:
    shutil.copy(file, tmp_path)
  (tmp_path / "9.avro").write_bytes(b"Obj\x01" + bytes(100))
  raw = embraceplus.read_recording(tmp_path, ".", None)
  assert raw.notes["files that cannot be read"] == 1
  with pytest.raises(InputError, match="no sound Avro file"):
    embraceplus.read([str(tmp_path / "9.avro")], "p")


# --- native code at arm's length ---------------------------------------------

HANGS = "import sys, time\nfor line in sys.stdin: time.sleep(1000)\n"
DIES = "import os, sys\nfor line in sys.stdin: os._exit(9)\n"


@pytest.mark.parametrize("code, message", [
    (HANGS, "did not end within 0.2 s"), (DIES, r"reader died \(exit 9\)"),
])
def test_a_worker_that_hangs_or_dies_is_replaced(tmp_path, code, message):
  worker = tmp_path / "worker.py"
  worker.write_text(code)
  reader = native.Reader(timeout_s=0.2 if code == HANGS else 20, memory=0,
                         worker=worker)
  for _ in range(2):
    with pytest.raises(InputError, match=f"x.cwa: .*{message}"):
      reader.read("x.cwa", "high_frequency", ["acceleration"], "x.cwa")
  reader.close()


def test_the_worker_says_what_is_wrong(tmp_path):
  (tmp_path / "a.cwa").write_bytes(b"nothing")
  with pytest.raises(InputError, match="a.cwa: cannot be read: "):
    native.READER.read(tmp_path / "a.cwa", "x", ["y"], "a.cwa")


def test_every_source_of_devices_says_what_it_prepares():
  for name in ("cwa", "geneactiv", "gt3x", "embraceplus"):
    config = prepare_config.get_config(name)
    assert config.name == name and callable(SOURCES[name].recognise)


def test_the_worker_needs_nothing_of_accfm():
  text = native.WORKER.read_text()
  tree = ast.parse(text)
  names = {
      alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
      for alias in node.names
  }
  assert names == {"json", "os", "resource", "sys", "actfast", "numpy"}
  assert not any(isinstance(n, ast.ImportFrom) for n in ast.walk(tree))
