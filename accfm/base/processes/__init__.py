"""The processes of one job: start, agreement, signs of life, the end."""
