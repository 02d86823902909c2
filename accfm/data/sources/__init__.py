"""Cohort readers: a folder in, `Recording`s out, one file per cohort."""
