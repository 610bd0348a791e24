#include "packets.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/single_threaded.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// Room for a few messages of the largest size that goes inline. The kernel doubles it for its own
// needs, and takes at most what net.core.wmem_max says, which is never below what we need.
enum { SEND_BYTES = 256 * 1024 };

// Moves a descriptor off the numbers 0, 1 and 2, where it would be written to as somebody's stdout.
static int above_standard(int descriptor) {
  if (descriptor < 0 || descriptor > 2) return descriptor;
  int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
  int failure = errno;
  close(descriptor);
  errno = failure;
  return moved;
}

static int fail_closing(int descriptor, int failure) {
  if (descriptor >= 0) close(descriptor);
  errno = failure;
  return -1;
}

int lido_packet_pair(int one_way, int ends[2]) {
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return -1;
  for (int i = 0; i < 2; i++) {
    ends[i] = above_standard(ends[i]);
    if (ends[i] < 0) return fail_closing(ends[1 - i], errno);
  }
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

int lido_sealed_memory(const void *bytes, size_t length) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && length > limit.rlim_cur) {
    errno = EFBIG;
    return -1;
  }
  int memory = memfd_create("lido-message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (memory < 0) return -1;
  size_t done = 0;
  while (done < length) {
    ssize_t written = pwrite(memory, (const char *)bytes + done, length - done, (off_t)done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return fail_closing(memory, written < 0 ? errno : ENOSPC);
    done += (size_t)written;
  }
  int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
  if (fcntl(memory, F_ADD_SEALS, seals) < 0) return fail_closing(memory, errno);
  return memory;
}

int lido_read_exactly(int descriptor, void *bytes, size_t length, int64_t position) {
  size_t done = 0;
  while (done < length) {
    ssize_t read = pread(descriptor, (char *)bytes + done, length - done, position + (off_t)done);
    if (read < 0 && errno == EINTR) continue;
    if (read == 0) errno = EBADMSG;
    if (read <= 0) return -1;
    done += (size_t)read;
  }
  return 0;
}

int lido_event(void) { return above_standard(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

void lido_event_set(int event) {
  // It cannot fail: nobody reads it, and the counter has room for one.
  eventfd_write(event, 1);
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
