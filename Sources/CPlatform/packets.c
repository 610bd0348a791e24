#include "packets.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/single_threaded.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "descriptors.h"

// Room for a few messages of the largest size that goes inline. The kernel doubles it for its own
// needs, and takes at most what net.core.wmem_max says, which is never below what we need.
enum { SEND_BYTES = 256 * 1024 };

static int fail_closing(int descriptor, int failure) {
  if (descriptor >= 0) close(descriptor);
  errno = failure;
  return -1;
}

int lido_packet_pair(int one_way, int ends[2]) {
  if (lido_socket_pair(SOCK_SEQPACKET, ends) < 0) return -1;
  int size = SEND_BYTES;
  for (int i = 0; i < 2; i++) {
    // What is refused leaves the system's default.
    setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  }
  if (one_way && shutdown(ends[0], SHUT_WR) < 0) {
    int failure = errno;
    close(ends[0]);
    return fail_closing(ends[1], failure);
  }
  return 0;
}

int lido_event(void) { return lido_above_standard(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

void lido_event_set(int event) {
  // It cannot fail: the counter has room for far more than is ever set before it is cleared.
  eventfd_write(event, 1);
}

void lido_event_clear(int event) {
  eventfd_t count;
  eventfd_read(event, &count); // EAGAIN: it was not set.
}

int lido_await(int descriptor, int events, int event, int64_t nanoseconds) {
  struct pollfd entries[2] = {
      {.fd = descriptor, .events = (short)events},
      {.fd = event, .events = POLLIN},
  };
  struct timespec time = {
      .tv_sec = nanoseconds / 1000000000,
      .tv_nsec = nanoseconds % 1000000000,
  };
  int count = ppoll(entries, 2, nanoseconds < 0 ? NULL : &time, NULL);
  if (count < 0) return -1;
  return (entries[0].revents != 0 ? 1 : 0) | (entries[1].revents != 0 ? 2 : 0);
}

int lido_has_one_thread(void) { return __libc_single_threaded; }
