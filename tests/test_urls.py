"""Folders are folders of a file system: a bucket's URL is refused, and why."""

import pytest

from accfm import evaluate, prepare, study, tabulate
from accfm.base import files
from accfm.base.errors import InputError
from accfm.configs import evaluate as evaluate_config
from accfm.configs import prepare as prepare_config
from accfm.configs import study as study_config
from accfm.configs import table
from accfm.data import manifest
from accfm.train import workdir

URL = "gs://bucket/run"
WRITES = "want a folder; appends and renames are not atomic in a bucket"
READS = "want a folder; mount the bucket as files"


@pytest.mark.parametrize("call, message", [
    (lambda: workdir.claim(URL, {}), f"--workdir: got {URL}, {WRITES}"),
    (lambda: evaluate.run(evaluate_config.get_config(), "x", URL),
     f"--workdir: got {URL}, {WRITES}"),
    (lambda: study.run(study_config.get_config("tiny"), URL),
     f"--workdir: got {URL}, {WRITES}"),
    (lambda: study.run(study_config.get_config("tiny"), "w", URL),
     f"--out: got {URL}, {WRITES}"),
    (lambda: tabulate.run(table.get_config(), "a=b", URL),
     f"--out: got {URL}, {WRITES}"),
    (lambda: prepare.run(prepare_config.get_config("simulated"), "", URL),
     f"--data_dir: got {URL}, {WRITES}"),
    (lambda: prepare.run(prepare_config.get_config("e4"), URL, "data"),
     f"--source_dir: got {URL}, {READS}"),
    (lambda: manifest.find(URL, "x"), f"data_dir: got {URL}, {READS}"),
])
def test_urls(tmp_path, monkeypatch, call, message):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(InputError, match=message):
    call()
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", [
    "s3://b", "gs:/b/c", "hdfs://h/x", "file:///x", "a+b.c-1://x",
])
def test_any_scheme(path):
  with pytest.raises(InputError, match="--out: got"):
    files.refuse_url(path, "--out")


@pytest.mark.parametrize("path", [
    "/a/b", "a/b", "", "./gs://b", "a:b/c", "1://x", "x/y:/z",
])
def test_folders(path):
  files.refuse_url(path, "--out")
