"""The one thing of the build that pyproject.toml cannot say in full.

`configs/` lies on top of the repository, for those who edit them, and is
installed as `accfm.configs`.
"""

import setuptools

setuptools.setup(
    packages=[
        *setuptools.find_packages(include=["accfm", "accfm.*"]),
        "accfm.configs",
    ],
    package_dir={"accfm.configs": "configs"},
)
