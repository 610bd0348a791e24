"""Squares of numbers, in every way that a pool has."""

from lido import Pool  # from multiprocessing import Pool


def square(number):
    return number * number


def multiply(x, y):
    return x * y


def main():
    with Pool(processes=4) as pool:
        print("map:", pool.map(square, range(10)))
        print("starmap:", pool.starmap(multiply, [(1, 2), (3, 4), (5, 6)]))
        print("apply:", pool.apply(square, (7,)))

        result = pool.apply_async(square, (20,))
        print("apply_async:", result.get(timeout=10))

        result = pool.map_async(square, [1, 2, 3])
        result.wait(10)
        print("map_async:", result.ready(), result.successful(), result.get())

        print("imap:", list(pool.imap(square, range(5))))
        print("imap_unordered:", sorted(pool.imap_unordered(square, range(5))))


if __name__ == "__main__":
    main()
