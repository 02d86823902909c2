"""Kills, damage and crowding, compared with what an undisturbed run gives.

`python -m benchmarks.chaos` drives the real commands; `__main__` says how.
"""
