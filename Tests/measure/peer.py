"""What CPython's multiprocessing takes for what Tests/MeasureProgram does; one number, in seconds.

    peer.py PART METHOD COUNT
"""

import multiprocessing
import sys
import time


def square(number):
    return number * number


def leave():
    pass


def echo(connection):
    try:
        while True:
            connection.send(connection.recv())
    except EOFError:
        pass


def fill(queue, count):
    for number in range(count):
        queue.put(number)


def timed(body):
    begin = time.monotonic()
    body()
    return time.monotonic() - begin


def used(context, body):
    with context.Pool(2) as pool:
        pool.map(square, range(100))
        return timed(lambda: body(pool))


def apply_async(pool, count):
    for result in [pool.apply_async(square, (number,)) for number in range(count)]:
        result.get()


def apply(pool, count):
    for number in range(count):
        pool.apply(square, (number,))


def imap(pool, count):
    for _ in pool.imap(square, range(count)):
        pass


def lifetime(context, count):
    with context.Pool(4, maxtasksperchild=1) as pool:
        pool.map(square, range(count), chunksize=1)


def large_pool(context, count):
    with context.Pool(count) as pool:
        pool.map(square, range(count * 10), chunksize=1)


def processes(context, count):
    for _ in range(count // 10):
        started = [context.Process(target=leave) for _ in range(10)]
        for process in started:
            process.start()
        for process in started:
            process.join()


def pipe(context, count):
    ours, theirs = context.Pipe()
    child = context.Process(target=echo, args=(theirs,))
    child.start()
    theirs.close()
    ours.send(0)
    ours.recv()
    begin = time.monotonic()
    for number in range(count):
        ours.send(number)
        ours.recv()
    taken = time.monotonic() - begin
    child.terminate()
    child.join()
    return taken


def queue(context, count):
    items = context.Queue()
    child = context.Process(target=fill, args=(items, count))
    child.start()
    items.get()
    begin = time.monotonic()
    for _ in range(1, count):
        items.get()
    taken = time.monotonic() - begin
    child.join()
    return taken


def lock(context, count):
    guard = context.Lock()

    def body():
        for _ in range(count):
            guard.acquire()
            guard.release()
    return timed(body)


def value(context, count):
    number = context.Value("i", 0)

    def body():
        for _ in range(count):
            with number.get_lock():
                number.value += 1
    return timed(body)


PARTS = {
    "map": lambda c, n: used(c, lambda pool: pool.map(square, range(n))),
    "apply-async": lambda c, n: used(c, lambda pool: apply_async(pool, n)),
    "apply": lambda c, n: used(c, lambda pool: apply(pool, n)),
    "imap": lambda c, n: used(c, lambda pool: imap(pool, n)),
    "imap-ahead": lambda c, n: used(c, lambda pool: imap(pool, n)),  # It knows no bound.
    "lifetime": lambda c, n: timed(lambda: lifetime(c, n)),
    "large-pool": lambda c, n: timed(lambda: large_pool(c, n)),
    "processes": lambda c, n: timed(lambda: processes(c, n)),
    "pipe": pipe, "queue": queue, "lock": lock, "value": value,
}


if __name__ == "__main__":
    print(PARTS[sys.argv[1]](multiprocessing.get_context(sys.argv[2]), int(sys.argv[3])))
