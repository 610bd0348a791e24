#include "waiting.h"

int lido_poll(struct pollfd *entries, size_t count, int64_t nanoseconds) {
  if (nanoseconds < 0) return ppoll(entries, count, NULL, NULL);
  struct timespec time = {
      .tv_sec = nanoseconds / 1000000000,
      .tv_nsec = nanoseconds % 1000000000,
  };
  return ppoll(entries, count, &time, NULL);
}
