import os

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.configs import prepare
from accfm.data.sources import e4
from accfm.signals import labels, windows
from accfm.signals.contract import Contract, SignalSpec
from accfm.signals.recording import Span

T0 = 1_644_829_925

# A shape of the real mapping, for short made-up recordings.
TAGS = (("stroop", 1, 2, 2, 4), ("rest", 3, 4, 2, 4))


def write_session(folder, seconds=12, **files):
  """A session folder; keyword text replaces a file, None leaves it out."""
  rng = np.random.default_rng(0)
  acc = rng.integers(-128, 128, (32 * seconds, 3))
  bvp = rng.normal(0, 50, 64 * seconds)
  bvp[:11] = 0
  text = {
      "ACC": f"{T0}.000000, {T0}.000000, {T0}.000000\n"
             "32.000000, 32.000000, 32.000000\n"
             + "".join(f"{a},{b},{c}\n" for a, b, c in acc),
      "BVP": f"{T0}.00\n64.000000\n" + "".join(f"{v:.2f}\n" for v in bvp),
      "IBI": f"{T0}.000000, IBI\n1.500000,0.750000\n2.250000,0.750000\n",
      "HR": f"{T0 + 10}.000000\n1.000000\n85.00\n84.50\n",
      "tags": f"{T0 + 1}\n{T0 + 4.25:.2f}\n",
  }
  text.update(files)
  folder.mkdir(parents=True, exist_ok=True)
  for name, body in text.items():
    if body is not None:
      (folder / f"{name}.csv").write_bytes(body.encode())
  return acc, bvp


def read(folder, name="S05", **cfg):
  return e4.read_recording(folder, name, cfg)


def test_what_is_in_the_files_is_what_is_read(tmp_path):
  acc, bvp = write_session(tmp_path / "S05")
  assert e4.list_recordings(tmp_path) == ["S05"]
  r = read(tmp_path, tag_spans=TAGS)
  assert (r.participant, r.session) == ("S05", "S05")
  a, p = r.signals["acc"], r.signals["ppg"]
  np.testing.assert_array_equal(a.values, acc / np.float32(64))
  assert a.limits == (acc.min() / 64, acc.max() / 64) == (-2, 127 / 64)
  assert (a.rate_hz, a.unit, a.start_s) == (32, "g", T0)
  assert (p.rate_hz, p.unit, p.start_s) == (64, "au", T0)
  assert np.isnan(p.values[:11]).all()
  np.testing.assert_allclose(p.values[11:, 0], bvp[11:], atol=0.0051)
  np.testing.assert_array_equal(r.beats.end_s, [T0 + 1.5, T0 + 2.25])
  np.testing.assert_array_equal(r.beats.interval_s, [0.75, 0.75])
  track = r.tracks["device_hr_bpm"]
  np.testing.assert_array_equal(track.start_s, [T0 + 10, T0 + 11])
  np.testing.assert_array_equal(track.values, [85, 84.5])
  assert r.beats.signal == track.signal == "ppg" and track.span_s == 1
  assert r.spans == (Span(T0 + 1, T0 + 4.25, "stroop"),)
  assert read(tmp_path).spans == ()  # no mapping, no spans


def test_other_ways_the_files_are_written(tmp_path):
  write_session(tmp_path / "a")
  want = read(tmp_path, "a")
  for path in sorted((tmp_path / "a").iterdir()):
    text = path.read_text().replace("32.000000", "32").replace(
        "64.000000", "64"
    ).replace(f"{T0}.000000, {T0}.000000, {T0}.000000",
              f"{T0}, {T0}, {T0}")
    (tmp_path / "b").mkdir(exist_ok=True)
    name = "tags_S05.csv" if path.stem == "tags" else path.name
    (tmp_path / "b" / name).write_bytes(
        b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() + b"\r\n\r\n"
    )
  write_session(tmp_path / "c", **{
      p.stem: p.read_text().replace(f"{T0}.00", "2022-02-14 09:12:05")
      for p in (tmp_path / "a").glob("?V?.csv")
  })
  for name in ("b", "c"):
    got = read(tmp_path, name)
    for signal in ("acc", "ppg"):
      np.testing.assert_array_equal(
          got.signals[signal].values, want.signals[signal].values
      )
      assert got.signals[signal].start_s == T0
    np.testing.assert_array_equal(got.beats.end_s, want.beats.end_s)


@pytest.mark.parametrize("ibi", [
    None, "", "\r\n", f"{T0}.0, IBI", f"{T0}.0, IBI\n\n"
])
def test_missing_or_empty_extras_are_no_error(tmp_path, ibi):
  write_session(tmp_path / "S05", IBI=ibi, HR=ibi and None, tags=None)
  r = read(tmp_path, tag_spans=TAGS)
  assert r.beats is None and not r.tracks and r.spans == ()
  write_session(tmp_path / "S05", HR=f"{T0}\n1\n", tags="")
  assert len(read(tmp_path).tracks["device_hr_bpm"].values) == 0


def test_folders(tmp_path):
  write_session(tmp_path / "one" / "P1" / "first")
  write_session(tmp_path / "one" / "P1" / "second")
  write_session(tmp_path / "one" / "P2")
  (tmp_path / "one" / "notes").mkdir()
  (tmp_path / "one" / ".git" / "x").mkdir(parents=True)
  assert e4.list_recordings(tmp_path / "one") == [
      "P1/first", "P1/second", "P2"
  ]
  r = read(tmp_path / "one", "P1/second")
  assert (r.participant, r.session) == ("P1", "second")
  # A folder that is a session itself.
  alone = tmp_path / "one" / "P2"
  assert e4.list_recordings(alone) == ["P2"]
  assert read(alone, "P2").participant == "P2"


def test_attributes(tmp_path):
  write_session(tmp_path / "P1" / "s")
  write_session(tmp_path / "P2")
  table = tmp_path / "participants.csv"
  table.write_text(
      "participant, age_years,sex,bmi,target_smoker\nP1,34,1,,0\n\n"
  )
  assert read(tmp_path, "P1/s").attributes == {
      "age_years": 34, "sex": 1, "target_smoker": 0
  }
  assert read(tmp_path, "P2").attributes == {}
  for word in ("NA", "n/a", "NaN", "NULL", "None", "-", ".", "#N/A", "<NA>"):
    table.write_text(f"participant,age_years,bmi\nP1,34,{word}\n")
    assert read(tmp_path, "P1/s").attributes == {"age_years": 34}, word
  for text, message in (
      ("participant,age\nP1,3\n", "line 1: column 'age' is unknown"),
      ("age_years\n3\n", "line 1.*want one column participant"),
      ("participant,bmi\nP1,low\n", "line 2, bmi: got 'low', want a number"),
      ("participant,bmi\nP1\n", "line 2: got 1 cells, want 2"),
      ("participant,bmi\nP1,20\nP1,30\n", "line 3.*named twice"),
  ):
    table.write_text(text)
    with pytest.raises(InputError, match=message):
      read(tmp_path, "P2")


def rows(name, *lines, at=5):
  """The text of a good file with lines put in from line `at` on."""
  def change(text):
    old = text.split("\n")
    return "\n".join(old[:at - 1] + list(lines) + old[at - 1 + len(lines):])
  return name, change


@pytest.mark.parametrize("change, message", [
    (rows("ACC", "1,2"), "ACC.csv line 5: got 2 columns .*want 3.*truncated"),
    (rows("ACC", "1,2,3,4"), "ACC.csv line 5: got 4 columns"),
    (rows("ACC", "1,2,"), "ACC.csv line 5: got '', want a number"),
    (rows("ACC", "1,2", "1,2,3,4"), "ACC.csv line 5: got 2 columns"),
    (rows("ACC", "1,x,3"), "ACC.csv line 5: got 'x', want a number"),
    (rows("ACC", ""), "ACC.csv line 5: empty line"),
    (rows("ACC", "0.1,0.2,0.97"), "ACC.csv line 5: .*whole numbers in 1/64 g"),
    (rows("ACC", "16, 16, 16", at=2), "ACC.csv line 2: got 16 Hz, want 32 Hz.*"
                                      "source_cfg.acc_rate_hz=16"),
    (rows("ACC", "32, 16, 32", at=2), "ACC.csv line 2: got 32, 16, 32"),
    (rows("ACC", "x", at=1), "ACC.csv line 1: got 'x'"),
    (rows("BVP", "nan", at=70), "BVP.csv line 70: got 'nan', want a number"),
    (rows("BVP", "1,2"), "BVP.csv line 5: got 2 columns"),
    (rows("BVP", "0", at=2), "BVP.csv line 2: got rate 0"),
    (rows("BVP", "128", at=2), "BVP.csv line 2: got 128 Hz, want 64 Hz"),
    (rows("IBI", "1.2,0.7", at=3), "IBI.csv line 3: time 1.2 s does not come"),
    (rows("IBI", "2.2,-1", at=3), "IBI.csv line 3: got interval -1 s"),
    (rows("IBI", "2.2", at=3), "IBI.csv line 3: got 1 columns"),
    (rows("HR", "high", at=3), "HR.csv line 3: got 'high'"),
    (rows("tags", "soon", at=2), "tags.csv line 2: got 'soon'"),
    (("ACC", lambda text: None), "S05: ACC.csv is missing"),
    (("BVP", lambda text: None), "S05: BVP.csv is missing"),
    (("BVP", lambda text: ""), "BVP.csv: got fewer than 2 header lines"),
    (("BVP", lambda text: "1644829925\n64\n"), "BVP.csv: no samples"),
    (("ACC", lambda text: text[:-3]), "ACC.csv line 386: got 2 columns"),
])
def test_each_fault_is_one_line_with_file_and_line(tmp_path, change, message):
  folder = tmp_path / "S05"
  write_session(folder)
  name, make = change
  path = folder / f"{name}.csv"
  text = path.read_text()
  # Its last row must lose a column when the last three characters go.
  body = make(text if name != "ACC" else text[:text.rindex(",")] + ",9\n")
  path.unlink()
  if body is not None:
    path.write_text(body)
  with pytest.raises(InputError, match=message) as error:
    read(tmp_path, tag_spans=TAGS)
  assert "\n" not in str(error.value)


def test_bytes_that_are_no_text(tmp_path):
  write_session(tmp_path / "S05")
  (tmp_path / "S05" / "BVP.csv").write_bytes(b"1644829925\n64\n\xff\xfe\x00")
  with pytest.raises(InputError, match="BVP.csv line 3: byte 0xff is not"):
    read(tmp_path)


def test_another_rate_is_read_when_the_config_says_so(tmp_path):
  write_session(tmp_path / "S05", BVP=f"{T0}\n128\n" + "1\n" * 1000)
  assert read(tmp_path, bvp_rate_hz=128.0).signals["ppg"].rate_hz == 128


@pytest.mark.parametrize("make, message", [
    (lambda p: None, "no such folder"),
    (lambda p: p.mkdir(), "no E4 session found"),
    (lambda p: (p / "S01").mkdir(parents=True), "no E4 session found"),
])
def test_a_missing_or_empty_cohort(tmp_path, make, message):
  make(tmp_path / "cohort")
  with pytest.raises(InputError, match=message):
    e4.list_recordings(tmp_path / "cohort")


@pytest.mark.parametrize("tags, names, reason", [
    ((1, 4, 6, 9), ["stroop", "rest"], ""),
    ((1, 4, 6), ["stroop"], "rest: tag 4 of 3 is missing"),
    ((-43000, 4, 6, 9), ["rest"], "stroop: tag 1 lies -43000 s"),
    ((1, 4, 6, 13), ["stroop"], "rest: tag 4 lies .13 s"),
    ((1, 9, 6, 9), [], "stroop would last 8 s, want 2 to 4 s"),
    ((4, 1, 6, 9), [], "stroop would last -3 s"),
])
def test_tags_are_checked_against_the_recording(tags, names, reason):
  spans, reasons = e4.spans_from_tags(
      T0 + np.array(tags), T0, T0 + 12.0, TAGS
  )
  assert [s.name for s in spans] == names
  assert len(reasons) == bool(reason)
  assert all(r.startswith(reason.split(" lies")[0]) for r in reasons)


def test_a_malformed_mapping_and_an_unknown_field(tmp_path):
  write_session(tmp_path / "S05")
  with pytest.raises(InputError, match="tag_spans"):
    read(tmp_path, tag_spans=(("stroop", 1, 2),))
  with pytest.raises(InputError, match="did you mean 'tag_spans'"):
    e4.list_recordings(tmp_path, {"tag_span": ()})


def test_real_recordings(real_data):
  folder = real_data / "stress_predict"
  cfg = prepare.get_config("e4,name=stress_predict").source_cfg
  names = e4.list_recordings(folder, cfg)
  assert len(names) == 35
  contract = Contract({
      "acc": SignalSpec(3, "g", "acc", gravity_kept=True),
      "ppg": SignalSpec(1, "au", "ppg", band_hz=(0.5, 8.0), delay_s=1.25),
  }, 64.0, 60.0)
  count, known, spans = {}, {}, {}
  for name in ("S01", "S05", "S30", "S34"):
    r = e4.read_recording(folder, name, cfg)
    a = windows.align(r, contract)
    cuts = list(windows.cut(a, contract, 60.0))
    hr = [
        labels.window_labels(w.start_s, 60.0, a.beats, a.tracks, a.spans, {})
        for w in cuts
    ]
    count[name] = len(cuts)
    known[name] = sum(np.isfinite(h["hr_bpm"]) for h in hr)
    spans[name] = [s.name for s in a.spans]
  assert count == {"S01": 54, "S05": 54, "S30": 55, "S34": 59}
  three = ["stroop", "interview", "hyperventilation"]
  assert spans == {"S01": [], "S05": three, "S30": three[1:], "S34": three}
  assert known["S34"] > 30 > 10 > known["S30"]


@pytest.mark.parametrize("data, says", [
    ("participant,bmi\nS05,22\n".encode("utf-16"), "UTF-16"),
    ("participant,bmi\nS05é,22\n".encode("latin-1"), "line 2: byte 0xe9"),
    (b"participant,bmi\nS05," + b"2" * 200_000 + b"\n", "line 2: .*field"),
    (b"participant,bmi\nS05,1e39\n", "line 2, bmi: got 1e39"),
])
def test_a_table_of_people_that_is_none(tmp_path, data, says):
  write_session(tmp_path / "S05")
  (tmp_path / "participants.csv").write_bytes(data)
  with pytest.raises(InputError, match=f"participants.csv.*{says}") as error:
    read(tmp_path)
  assert len(str(error.value)) < 600


@pytest.mark.parametrize("name", [b"caf\xe9", b"a\nb", b"a ", b"\x1b[31m"])
def test_a_folder_that_no_name_can_be_stored_of(tmp_path, name):
  write_session(tmp_path / "good")
  (tmp_path / "good").rename(tmp_path / os.fsdecode(name))
  with pytest.raises(InputError, match="rename it"):
    e4.list_recordings(tmp_path)


@pytest.mark.parametrize("file, line", [
    ("BVP", f"{T0}.0\n64.0\n1e39\n"), ("BVP", "1e30\n64.0\n1.0\n"),
    ("HR", f"{T0}.0\n1e-300\n85.0\n"),
])
def test_numbers_beyond_what_is_stored(tmp_path, file, line):
  write_session(tmp_path / "S05", **{file: line})
  with pytest.raises(InputError, match=f"{file}.csv line [123]"):
    read(tmp_path)
