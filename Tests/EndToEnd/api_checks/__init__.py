"""The parts of `api.py`: one file per side of the HTTP surface."""
