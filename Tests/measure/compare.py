#!/usr/bin/env python3
"""Sets Lido's library and CPython's multiprocessing side by side: each part in turn, several times.

    compare.py PROGRAM [ROUNDS [PART...]]

Prints medians and their ratio, how many times as fast the library is. Only the ratio is worth
anything: both ran in the same minute on the same machine.
"""

import pathlib
import statistics
import subprocess
import sys

PEER = pathlib.Path(__file__).parent / "peer.py"

# (part, method, count for the library, count for Python, what one is)
ROWS = [
    ("map", "forkserver", 1_000_000, 1_000_000, "squares by one map"),
    ("apply-async", "forkserver", 100_000, 20_000, "jobs by applyAsync"),
    ("apply", "forkserver", 20_000, 5_000, "jobs by apply, one by one"),
    ("imap", "forkserver", 50_000, 20_000, "items by imap, bounded as it is by default"),
    ("imap-ahead", "forkserver", 100_000, 20_000, "items by imap, bufferSize 1,000"),
    ("processes", "fork", 1_000, 300, "processes by fork"),
    ("processes", "spawn", 300, 30, "processes by spawn"),
    ("processes", "forkserver", 1_000, 150, "processes by forkserver"),
    ("lifetime", "forkserver", 20_000, 300, "tasks at maxTasksPerChild 1"),
    ("large-pool", "forkserver", 200, 200, "workers of a large pool"),
    ("pipe", "fork", 50_000, 50_000, "round trips through a pipe"),
    ("queue", "fork", 200_000, 100_000, "items through a queue"),
    ("lock", "fork", 5_000_000, 1_000_000, "locks taken and given back"),
    ("value", "fork", 5_000_000, 500_000, "additions to a locked value"),
]


def rate(command, part, method, count):
    run = subprocess.run([*command, part, method, str(count)], capture_output=True, text=True,
                         timeout=300, check=True)
    return count / float(run.stdout)


def shown(number):
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}"


def main():
    program = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    wanted = sys.argv[3:]
    print("| a second | Lido | Python | ratio |\n|---|---|---|---|")
    for part, method, count, peers_count, what in ROWS:
        if wanted and part not in wanted:
            continue
        ours, peers = [], []
        for number in range(rounds):
            turns = [(ours, [program], count), (peers, [sys.executable, str(PEER)], peers_count)]
            for rates, command, much in turns if number % 2 == 0 else reversed(turns):
                rates.append(rate(command, part, method, much))
        mine, other = statistics.median(ours), statistics.median(peers)
        print(f"| {what} | {shown(mine)} | {shown(other)} | {mine / other:.1f} |", flush=True)


if __name__ == "__main__":
    main()
