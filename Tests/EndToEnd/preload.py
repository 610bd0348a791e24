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

#: The wall clock shows so many seconds more as the file that `E2E_CLOCK` names begins with: an
#: int64_t, looked at whenever the clock is read.
WALL_CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static volatile int64_t *offset;
static int (*read_clock)(clockid_t, struct timespec *);
__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("E2E_CLOCK");
  int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    void *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) offset = page;
    close(file);
  }
}
int clock_gettime(clockid_t clock, struct timespec *now) {
  // Other libraries may ask before this one has begun.
  if (read_clock == NULL) read_clock = dlsym(RTLD_NEXT, "clock_gettime");
  int result = read_clock(clock, now);
  int is_wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
  if (result == 0 && is_wall && offset != NULL) now->tv_sec += *offset;
  return result;
}
time_t time(time_t *result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result != NULL) *result = now.tv_sec;
  return now.tv_sec;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec exact;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &exact);
  *now = (struct timeval){.tv_sec = exact.tv_sec, .tv_usec = exact.tv_nsec / 1000};
  return 0;
}
"""

#: The file system of the folder `E2E_FOLDER` is read-only while the file that `E2E_SWITCH` names
#: does not begin with a zero: as ext4 makes itself after an error, also for files that are open.
READ_ONLY_DISK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
static volatile char *is_read_only;
static const char *folder;
__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("E2E_SWITCH");
  folder = getenv("E2E_FOLDER");
  int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
  int file = path == NULL || folder == NULL ? -1 : real_open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  void *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
  if (page != MAP_FAILED) is_read_only = page;
  close(file);
}
static int refuses(const char *path) {
  if (is_read_only == NULL || *is_read_only == 0) return 0;
  if (strncmp(path, folder, strlen(folder)) != 0) return 0;
  errno = EROFS;
  return 1;
}
static int refuses_file(int file) {
  char link[64], path[4096] = "";
  if (is_read_only == NULL || *is_read_only == 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  return readlink(link, path, sizeof path - 1) > 0 && refuses(path);
}
ssize_t write(int file, const void *bytes, size_t count) {
  ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
  return refuses_file(file) ? -1 : real(file, bytes, count);
}
int ftruncate(int file, off_t length) {
  int (*real)(int, off_t) = dlsym(RTLD_NEXT, "ftruncate");
  return refuses_file(file) ? -1 : real(file, length);
}
int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
  return (flags & O_ACCMODE) != O_RDONLY && refuses(path) ? -1 : real(path, flags, mode);
}
int rename(const char *path, const char *new_path) {
  int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
  return refuses(path) ? -1 : real(path, new_path);
}
int unlink(const char *path) {
  int (*real)(const char *) = dlsym(RTLD_NEXT, "unlink");
  return refuses(path) ? -1 : real(path);
}
"""
