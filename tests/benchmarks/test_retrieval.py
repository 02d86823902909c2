"""The comparison of two searches, on answers that are known."""

import json

import numpy as np
import pytest

from benchmarks import retrieval


def test_agreement_counts_what_differs():
  query = np.eye(3, dtype=np.float32)
  key = np.float32([[1, 0, 0], [0.5, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0.9]])
  a = np.array([[0, 1], [2, 0], [3, 4]])
  b = np.array([[0, 1], [2, 1], [4, 3]])
  scores = np.take_along_axis(query @ key.T, a, axis=1)
  got = list(retrieval.compare((scores, a), (scores - 0.25, b), query,
                               key).values())
  assert got[:3] == [0.5, 2 / 3, 3]
  assert got[3] == pytest.approx(0.1) and got[4] == pytest.approx(0.25)
  same = list(retrieval.compare((scores, a), (scores, a), query, key).values())
  assert same == [1.0, 1.0, 0, 0.0, 0.0]


def test_ours_finds_what_sorting_finds(tmp_path, monkeypatch, capsys):
  query, key = retrieval.draw(20, 300, 16)
  monkeypatch.setattr(retrieval, "draw", lambda: (query, key))
  retrieval.one("accfm", str(tmp_path / "x.npz"))
  printed = json.loads(capsys.readouterr().out)
  assert printed["seconds"] > 0 and printed["jax"]
  near = query.astype(np.float64) @ key.T
  want = np.argsort(-near, axis=1)[:, :retrieval.K]
  with np.load(tmp_path / "x.npz") as got:
    np.testing.assert_array_equal(got["indices"], want)
  np.testing.assert_allclose(np.linalg.norm(key, axis=1), 1, rtol=1e-6)
