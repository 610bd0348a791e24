"""Libraries that are loaded before the C library, to have the system behave badly."""

import os
import subprocess

from lido_process import temporary_folder


def preloaded(source, name):
    """The path of a library made of C source, for `LD_PRELOAD`; None without a C compiler."""
    library = os.path.join(temporary_folder(), f"{name}.so")
    for compiler in ("cc", "clang"):
        try:
            subprocess.run([compiler, "-shared", "-fPIC", "-x", "c", "-o", library, "-"],
                           input=source.encode(), check=True, capture_output=True)
            return library
        except (OSError, subprocess.CalledProcessError):
            continue
    return None


#: Each fdatasync takes so many nanoseconds: `SLOW_DISK % nanoseconds`.
SLOW_DISK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int fdatasync(int descriptor) {
  struct timespec delay = {.tv_nsec = %d};
  nanosleep(&delay, 0);
  return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(descriptor);
}
"""
