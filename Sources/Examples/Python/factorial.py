"""Factorials in parallel, and what becomes of an error in another process."""

from lido import Pool  # from multiprocessing import Pool


def factorial(number):
    if number < 0:
        raise ValueError(f"a negative number has no factorial: {number}")
    result = 1
    for factor in range(2, number + 1):
        result *= factor
    return result


def main():
    numbers = [5, 8, 10, 15, 3, 6, 4]
    with Pool() as pool:
        for number, result in zip(numbers, pool.map(factorial, numbers)):
            print(f"{number}! = {result}")
        print(f"0! = {pool.apply(factorial, (0,))}")
        print(f"2000! has {pool.apply(factorial, (2000,)).bit_length()} bits")
        try:
            pool.apply(factorial, (-3,))
        except ValueError as error:
            print(f"error: {error}")


if __name__ == "__main__":
    main()
