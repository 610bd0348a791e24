"""What is asked of a service with line workers, again and again."""

import os


def submit(http, pool, task, *args, **members):
    """Submits a job to a pool; its id."""
    answer = http.submit(task, *args, pool=pool, **members)
    if answer.status != 202:
        raise AssertionError(f"{task}: {answer}")
    return answer.json["id"]


def pids(http, pool):
    """The workers of a pool that take calls."""
    listed = http.get(f"/v1/pools/{pool}/workers").json["workers"]
    return {worker["pid"] for worker in listed if worker["state"] in ("idle", "busy")}


def resident(pid):
    """Bytes of memory that a process has."""
    with open(f"/proc/{pid}/statm", encoding="utf-8") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
