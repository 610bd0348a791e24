"""Items that take their time, with callbacks, an error among them, and an initializer."""

import time

from lido import Pool  # from multiprocessing import Pool

settings = {}


def set_up(factor):
    settings["factor"] = factor


def process_item(item):
    time.sleep(0.05)
    if item == 13:
        raise ValueError("13 is no item", item)
    return item, item * settings["factor"]


def main():
    done, failed = [], []
    pool = Pool(processes=3, initializer=set_up, initargs=(10,))
    for item in range(11, 17):
        pool.apply_async(
            process_item, (item,), callback=done.append, error_callback=failed.append)
    pool.close()
    pool.join()
    for item, value in sorted(done):
        print(f"{item} became {value}")
    for error in failed:
        print(f"failed: {error!r}")


if __name__ == "__main__":
    main()
