"""Encoder families: one file each, found by its name.

A file `<family>.py` in this folder is a family. It holds

- `ENCODER`: a `flax.linen.Module` class (see `accfm.models.build`);
- `RULES`: name -> what its value may be (`accfm.base.values`); it may be
  left out;
- `PRESETS`: name -> the fields that differ from the class's defaults.

Nothing else lists it. A family outside the package is the class alone.
"""
