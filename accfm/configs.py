"""In a clone, `accfm.configs` is the folder configs/ beside this package.

A built package holds that folder as `accfm/configs/`, which Python prefers to
this file. With a `__path__` a module is a package, so that both are imported
by the same name.
"""

import pathlib

__path__ = [str(pathlib.Path(__file__).resolve().parents[1] / "configs")]
