"""Recordings and tables that devices, studies and spreadsheets write."""

import os
import pathlib
import shutil

import numpy as np
import scipy.io
from hypothesis import strategies as st

from accfm.data import staging
from accfm.data.sources import e4, ieee_spc
from accfm.evals.probes import own_labels
from tests.data import fake_source, test_staging
from tests.fuzz import hostile

T0 = 1_644_829_925
TAGS = (("stroop", 1, 2, 2, 4), ("rest", 3, 4, 2, 4))
SESSION = {
    "ACC.csv": [[f"{T0}.0"] * 3, ["32.0"] * 3] + [["1", "-2", "64"]] * 40,
    "BVP.csv": [[f"{T0}.0"], ["64.0"]] + [["0.0"], ["1.5"]] * 40,
    "IBI.csv": [[f"{T0}.0", "IBI"], ["1.5", "0.75"], ["2.25", "0.75"]],
    "HR.csv": [[f"{T0 + 10}.0"], ["1.0"], ["85.0"], ["84.5"]],
    "tags.csv": [[f"{T0 + 1}"], [f"{T0 + 4}.25"]],
}
PEOPLE = [
    ["participant", "age_years", "sex", "bmi", "target_smoker"],
    ["S1", "31", "0", "22.5", "1"], ["S2", "", "1", "", "0"],
]
LABELS = [
    ["participant", "session", "start_s", "stress", "mood"],
    ["toy/a", "one", "1000.0", "1", "good"],
    ["toy/a", "one", "1004.0", "", "bad"],
    ["toy/b", "one", "1000", "2.5", ""],
]


def csv(rows):
  return "".join(",".join(row) + "\n" for row in rows)


def write_session(folder):
  folder.mkdir(parents=True)
  for name, rows in SESSION.items():
    (folder / name).write_text(csv(rows))


def read_all(source, root, **cfg):
  """Every recording of a folder, as `prepare` asks for them."""
  out = []
  for name in source.list_recordings(root, cfg):
    name.encode()  # names become keys of files and of rows
    out.append(source.read_recording(root, name, cfg))
    out[-1].participant.encode()
  return out


def test_a_file_of_an_e4(fuzz, tmp_path):
  folder = tmp_path / "S1"
  write_session(folder)

  def check(judge, case):
    name, data = case
    before = (folder / name).read_bytes()
    (folder / name).write_bytes(data)
    judge.call(case, read_all, e4, tmp_path, tag_spans=TAGS)
    (folder / name).write_bytes(before)

  fuzz(st.sampled_from(list(SESSION)).flatmap(
      lambda name: st.tuples(st.just(name), hostile.tables(SESSION[name]))
  ), check)


def test_participants_of_an_e4(fuzz, tmp_path):
  write_session(tmp_path / "S1")

  def check(judge, case):
    (tmp_path / "participants.csv").write_bytes(case)
    judge.call(case, read_all, e4, tmp_path)

  fuzz(hostile.tables(PEOPLE), check)


def test_folders_of_an_e4(fuzz, tmp_path):
  write_session(tmp_path / "good")

  def check(judge, case):
    root = tmp_path / "root"
    root.mkdir()
    for parts, what in case:
      place = os.path.join(os.fsencode(root), *parts)
      if os.path.lexists(place):
        continue
      try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if what == "session":
          shutil.copytree(os.fsencode(tmp_path / "good"), place)
        elif what == "loop":
          os.symlink(os.fsencode(root), place)
        elif what == "nowhere":
          os.symlink(b"/nowhere", place)
        elif what == "file":
          open(place, "wb").close()
        else:
          os.makedirs(place)
          os.makedirs(os.path.join(place, b"ACC.csv"))
      except OSError:  # a name of this length, a file in the way
        continue
    judge.call(case, read_all, e4, root)
    shutil.rmtree(os.fsencode(root))

  fuzz(st.lists(st.tuples(
      st.lists(hostile.names, min_size=1, max_size=2),
      st.sampled_from(
          ["session", "session", "session", "loop", "nowhere", "file",
           "folders"]
      ),
  ), min_size=1, max_size=4), check)


def test_own_labels(fuzz, tmp_path):
  path = tmp_path / "labels.csv"
  table = {
      "participant": np.array(["toy/a", "toy/b"]),
      "session": np.array(["one", "one"]), "start_s": np.array([1e3, 1e3]),
  }

  def check(judge, case):
    path.write_bytes(case)
    judge.call(case, own_labels.load_columns, path, {"test": table})

  fuzz(hostile.tables(LABELS), check)


def mat_bytes(folder, sig, compress, version):
  path = folder / "made.mat"
  scipy.io.savemat(
      path, sig, do_compression=compress, format=version
  )
  data = path.read_bytes()
  path.unlink()
  return data


def test_a_matlab_file(fuzz, tmp_path):
  rng = np.random.default_rng(0)
  good = {"sig": rng.normal(size=(6, 125 * 10))}
  files = [
      mat_bytes(tmp_path, good, compress, version)
      for compress, version in ((True, "5"), (False, "5"), (False, "4"))
  ]
  odd = st.sampled_from([
      {"sig": "text"}, {"sig": np.zeros((0, 5))}, {"sig": {"a": 1}},
      {"sig": np.array([[1, "a"]], object)}, {"sig": np.zeros((6, 9), bool)},
      {"sig": np.full((6, 99), 1e300)}, {"sig": np.full((6, 99), np.nan)},
      {"sig": np.ones((6, 99)) * 1j}, {"sig": np.zeros((2, 3, 4))}, {"x": 1},
      {"sig": scipy.sparse.eye(6, format="csc")},
  ]).map(lambda arrays: mat_bytes(tmp_path, arrays, True, "5"))
  path = tmp_path / "root" / "DATA_01_TYPE01.mat"
  path.parent.mkdir()

  def check(judge, case):
    path.write_bytes(case)
    judge.call(case, read_all, ieee_spc, path.parent, ecg=False)

  fuzz(
      st.sampled_from(files).flatmap(hostile.damaged)
      | st.sampled_from(files).flatmap(
          # Within the headers of file and array, where sizes and types are.
          lambda data: hostile.damaged(data[:256]).map(lambda h: h + data[256:])
      ) | odd,
      check,
  )


def test_names_of_matlab_files(fuzz, tmp_path):
  good = mat_bytes(tmp_path, {"sig": np.ones((6, 2500))}, True, "5")
  root = tmp_path / "root"

  def check(judge, case):
    root.mkdir()
    (root / "DATA_01_TYPE01.mat").write_bytes(good)
    for name in case:
      try:
        with open(os.path.join(os.fsencode(root), name + b".mat"), "wb") as f:
          f.write(good)
      except OSError:
        continue
    judge.call(case, read_all, ieee_spc, root)
    shutil.rmtree(os.fsencode(root))

  fuzz(st.lists(hostile.names, min_size=1, max_size=3), check)


def test_a_staged_recording(fuzz, tmp_path):
  """What cannot be read is made anew; nothing else is ever raised."""
  fake = fake_source.Fake()
  job = test_staging.make_job(fake, tmp_path)
  test_staging.stage_all(fake, job)
  name = sorted(fake.names)[0]
  path = pathlib.Path(staging._path(job.folder, name))
  data = path.read_bytes()

  def check(judge, case):
    path.write_bytes(case)
    judge.call(case, staging.finished, name, job)

  fuzz(
      hostile.damaged(data) | hostile.damaged(data[:400]).map(
          lambda head: head + data[400:]
      ) | hostile.damaged(data[-1500:]).map(lambda end: data[:-1500] + end),
      check,
  )
