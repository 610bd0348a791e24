"""Pictures blurred with Pillow, one after the other and by the processes of a pool.

    python3 blur_image.py FOLDER

Without pictures (*.png) in the folder it draws some first.
"""

import os
import sys
import time

from PIL import Image, ImageFilter

from lido import Pool  # from multiprocessing import Pool


def blur_image(paths):
    source, target = paths
    with Image.open(source) as picture:
        blurred = picture.filter(ImageFilter.GaussianBlur(8))
    blurred.save(target)
    return os.path.basename(target), blurred.size


def draw_pictures(folder, count=6):
    for number in range(count):
        picture = Image.linear_gradient("L").rotate(60 * number)
        picture.save(os.path.join(folder, f"picture-{number}.png"))


def pairs(folder, pictures, name):
    os.makedirs(os.path.join(folder, name), exist_ok=True)
    return [
        (os.path.join(folder, picture), os.path.join(folder, name, picture))
        for picture in pictures]


def read(path):
    with open(path, "rb") as file:
        return file.read()


def main():
    folder = os.path.abspath(sys.argv[1])
    if not any(name.endswith(".png") for name in os.listdir(folder)):
        draw_pictures(folder)
    pictures = sorted(name for name in os.listdir(folder) if name.endswith(".png"))

    start = time.perf_counter()
    first = pairs(folder, pictures, "sequential")
    for paths in first:
        blur_image(paths)
    print(f"sequential: {time.perf_counter() - start:.2f} s", file=sys.stderr)

    start = time.perf_counter()
    second = pairs(folder, pictures, "parallel")
    with Pool() as pool:
        for name, size in pool.imap(blur_image, second):
            print(f"blurred {name}: {size[0]} x {size[1]}")
    print(f"parallel: {time.perf_counter() - start:.2f} s", file=sys.stderr)

    same = all(read(one[1]) == read(other[1]) for one, other in zip(first, second))
    print(f"the same results: {same}")


if __name__ == "__main__":
    main()
