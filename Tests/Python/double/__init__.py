"""A service in this process, for tests of the Python package: real workers, nothing is kept."""
