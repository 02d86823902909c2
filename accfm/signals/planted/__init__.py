"""Planted minutes: acceleration and PPG from the same made-up beats.

A person (`people`) has beats (`heart`), which move the wrist (`wrist`) and
fill the vessels (`pulse`); a device (`device`) samples and rounds what it
sees. `minutes.make` puts them together. All of it is jax.numpy, for one
minute, to be batched with `jax.vmap`. Ranges are log-uniform where they span
more than a factor of five.
"""
