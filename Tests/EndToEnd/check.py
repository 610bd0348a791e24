#!/usr/bin/env python3
"""`lido check` and `lido snapshot`: what they say of a folder, and that a start agrees.

Usage: LIDO_BIN=PATH check.py
"""

import glob
import os
import shutil
import subprocess
import sys
import tempfile

from checks import Checks
from lido_process import Service, binary, clean_environment

JOBS = 40


def lido(*arguments):
    return subprocess.run([binary(), *arguments], capture_output=True, text=True, timeout=30,
                          check=False, env=clean_environment())


def segments(data):
    return sorted(glob.glob(os.path.join(data, "journal-*.jsonl")))


def state(service):
    """Every job with its result, as the service tells it."""
    with service.connection() as http:
        return {f"job-{n}": http.get(f"/v1/jobs/job-{n}/result").body for n in range(JOBS)}


def filled():
    """A folder with a snapshot, a journal behind it, and 40 results; its service was killed."""
    service = Service("--processes", 1, "--snapshot-interval", 0.2)
    service.start()
    with service.connection() as http:
        for number in range(JOBS):
            http.submit("square", number, id=f"job-{number}", target="/v1/jobs?wait=5")
    service.terminate()
    service.start()
    with service.connection() as http:
        http.submit("square", 1, id="late", target="/v1/jobs?wait=5")
    service.kill()
    return service


def in_use(checks, service):
    service.start()
    run = lido("check", service.data)
    checks.equal("a folder in use is checked as well", run.returncode, 0)
    checks.that("… and its user is named", f"process {service.pid} uses" in run.stdout,
                service.pid, run.stdout)
    run = lido("snapshot", service.data)
    checks.equal("no snapshot is made of a folder in use", run.returncode, 1)
    checks.that("… and its user is named", f"process {service.pid}" in run.stderr, service.pid,
                run.stderr)
    service.kill()


def whole(checks, service):
    files = {name: open(os.path.join(service.data, name), "rb").read()
             for name in os.listdir(service.data)
             if os.path.isfile(os.path.join(service.data, name))}
    run = lido("check", service.data + "/")
    checks.equal("a whole folder", (run.returncode, run.stderr), (0, ""))
    checks.that("… every file of which is named as whole", all(
        f"whole: {os.path.join(service.data, name)}" in run.stdout
        for name in files if name.endswith((".json", ".jsonl"))), sorted(files), run.stdout)
    checks.that("… with what a start finds", f"would start with {JOBS + 1} jobs, 0 of them open"
                in run.stdout, JOBS + 1, run.stdout)
    after = {name: open(os.path.join(service.data, name), "rb").read() for name in files}
    checks.that("… and nothing is changed", after == files, "the same", "something else")


def torn(checks, service):
    with open(segments(service.data)[-1], "ab") as file:
        file.write(b'{"crc":"00000000","seq":')
    run = lido("check", service.data)
    checks.equal("a torn tail", (run.returncode, run.stderr), (1, ""))
    checks.that("… is told with file and line", f"torn: {segments(service.data)[-1]}, line "
                in run.stdout and "24 bytes" in run.stdout, "torn: …, line …, 24 bytes", run.stdout)
    checks.that("… and a start goes on without it", "would start with" in run.stdout, True,
                run.stdout)


def snapshot(checks, service, expected):
    before = len(os.listdir(service.data))
    run = lido("snapshot", service.data)
    checks.equal("lido snapshot", (run.returncode, run.stderr), (0, ""))
    checks.that("… says what is in it", f"{JOBS + 1} jobs after record " in run.stdout, JOBS + 1,
                run.stdout)
    checks.that("… and drops the torn tail with a note", "note: " in run.stdout, "note:",
                run.stdout)
    run = lido("check", service.data)
    checks.equal("… the folder is whole then", run.returncode, 0)
    checks.that("… and a start reads no journal", "and 0 records of the journal" in run.stdout,
                "0 records", run.stdout)
    snapshots = glob.glob(os.path.join(service.data, "snapshot-*.json"))
    checks.equal("… there is it and a journal that begins behind it",
                 (len(snapshots), len(segments(service.data))), (1, 1))
    checks.that("… so it is smaller", len(os.listdir(service.data)) < before, before,
                len(os.listdir(service.data)))
    service.start()
    checks.equal("… and every job is there", state(service), expected)
    service.kill()


def damaged(checks, service):
    copy = service.data + "-damaged"
    shutil.copytree(service.data, copy)
    for path in glob.glob(os.path.join(copy, "snapshot-*.json")):
        os.unlink(path)
    run = lido("check", copy)
    checks.equal("records that are missing", run.returncode, 2)
    checks.that("… are told", "would refuse to start" in run.stdout, True, run.stdout)
    shutil.rmtree(copy)
    # A second snapshot, with the one before and what lies between them kept.
    service.start()
    with service.connection() as http:
        http.submit("square", 2, id="later", target="/v1/jobs?wait=5")
    service.terminate()
    shutil.copytree(service.data, copy)
    newest = sorted(glob.glob(os.path.join(copy, "snapshot-*.json")))[-1]
    flip(newest, 300)
    run = lido("check", copy)
    checks.equal("a damaged snapshot with an older one behind it", run.returncode, 1)
    checks.that("… is named", f"damaged: {newest}" in run.stdout, newest, run.stdout)
    shutil.rmtree(copy)


def killed_after_jobs(*flags):
    """A service that was killed when its jobs had ended, and its journal."""
    service = Service("--processes", 1, "--snapshot-interval", 3600, *flags)
    service.start()
    with service.connection() as http:
        for number in range(JOBS):
            http.submit("square", number, id=f"job-{number}", target="/v1/jobs?wait=5")
    service.kill()
    return service, segments(service.data)[0]


def damaged_journal(checks):
    service, journal = killed_after_jobs()
    flip(journal, os.path.getsize(journal) // 2)
    run = lido("check", service.data)
    checks.equal("a journal that is damaged in the middle", (run.returncode, run.stderr), (2, ""))
    checks.that("… is told with file and line", f"damaged: {journal}, line " in run.stdout
                and "would refuse to start" in run.stdout, journal, run.stdout)
    service.launch()
    checks.that("… and a start agrees", (service.wait_end(5) or 0) > 0, "refused", "started")
    run = lido("snapshot", service.data)
    checks.equal("… no snapshot is made of it", run.returncode, 1)
    service.end()


def a_hole(checks):
    """Zeros in the midst of what was never synced: whole records behind them are kept aside."""
    service, journal = killed_after_jobs("--sync", "never")
    size = os.path.getsize(journal)
    with open(journal, "r+b") as file:
        file.seek(size // 1024 * 512)
        file.write(bytes(512))
    with open(journal, "rb") as file:
        before = file.read()
    run = lido("check", service.data)
    checks.equal("a journal with a hole", (run.returncode, run.stderr), (1, ""))
    checks.that("… is told with what is behind it", "whole records behind the hole" in run.stdout,
                True, run.stdout)
    service.start()
    service.terminate()
    with open(journal + ".cut", "rb") as file:
        cut = file.read()
    checks.that("… which a start keeps", len(cut) > 512 and before.endswith(cut), len(cut), size)
    service.end()


def flip(path, place):
    with open(path, "r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0x10]))


def nothing(checks, service):
    for what, path in (("no folder", service.data + "-none"), ("another folder", "/usr")):
        run = lido("check", path)
        checks.equal(f"lido check of {what}", (run.returncode, run.stdout), (3, ""))
        checks.that("… says which", path in run.stderr, path, run.stderr)
    run = lido("snapshot", service.data + "-none")
    checks.that("lido snapshot of no folder makes none", run.returncode == 3
                and not os.path.exists(service.data + "-none"), 3, run)
    with tempfile.TemporaryDirectory() as other:
        run = lido("snapshot", other)
        checks.equal("lido snapshot of another folder", (run.returncode, run.stdout), (3, ""))
        checks.that("… says why", "no journal and no snapshot" in run.stderr, other, run.stderr)
        checks.equal("… and leaves nothing there", os.listdir(other), [])
    run = lido("check")
    checks.that("lido check of nothing tells how it is called", run.returncode == 64
                and "<dir>" in run.stderr, 64, run)


def all_parts(checks):
    service = filled()
    try:
        service.start()
        expected = state(service)
        service.kill()
        in_use(checks, service)
        whole(checks, service)
        torn(checks, service)
        snapshot(checks, service, expected)
        damaged(checks, service)
        nothing(checks, service)
    finally:
        service.end()


def main():
    checks = Checks(90)
    checks.run((all_parts,), (damaged_journal,), (a_hole,))
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
