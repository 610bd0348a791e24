"""A worker that does with its channel what it is told to, and a reader of a job's events."""
