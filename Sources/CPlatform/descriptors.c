#include "descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int lido_reserve_standard_descriptors(void) {
  for (int descriptor = 0; descriptor <= 2; descriptor++) {
    if (fcntl(descriptor, F_GETFD) >= 0) continue;
    // The lowest free number is this one, because those below it are open.
    if (open("/dev/null", O_RDWR) < 0) return -1;
  }
  return 0;
}

int lido_above_standard(int descriptor) {
  if (descriptor < 0 || descriptor > 2) return descriptor;
  int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
  int failure = errno;
  close(descriptor);
  errno = failure;
  return moved;
}

void lido_buffer_stdout_by_line(void) { setvbuf(stdout, NULL, _IOLBF, 0); }

void lido_flush_stdout(void) {
  if (__fpending(stdout) > 0) fflush(stdout);
}

// Moves both descriptors off the standard numbers; or closes both, and then both are -1.
static int move_above_standard(int ends[2]) {
  for (int i = 0; i < 2; i++) {
    ends[i] = lido_above_standard(ends[i]);
    if (ends[i] >= 0) continue;
    int failure = errno;
    close(ends[1 - i]);
    ends[1 - i] = -1;
    errno = failure;
    return -1;
  }
  return 0;
}

int lido_socket_pair(int type, int ends[2]) {
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) < 0) return -1;
  return move_above_standard(ends);
}

int lido_make_pipe(int writes, int *ours, int *theirs) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return -1;
  if (move_above_standard(ends) < 0) return -1;
  *ours = ends[writes ? 1 : 0];
  *theirs = ends[writes ? 0 : 1];
  // The ends have open file descriptions of their own, so this is for ours alone. It cannot fail.
  return fcntl(*ours, F_SETFL, O_NONBLOCK);
}

int lido_send_message(int socket, const void *message, size_t length, const int *descriptors,
                      size_t descriptor_count) {
  struct iovec part = {.iov_base = (void *)message, .iov_len = length};
  return lido_send_parts(socket, &part, 1, descriptors, descriptor_count, MSG_DONTWAIT);
}

int lido_send_parts(int socket, const struct iovec *parts, size_t part_count,
                    const int *descriptors, size_t descriptor_count, int flags) {
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int) * LIDO_DESCRIPTORS_MAX)];
  } control;
  if (descriptor_count > LIDO_DESCRIPTORS_MAX) {
    errno = EMSGSIZE;
    return -1;
  }
  struct msghdr header = {.msg_iov = (struct iovec *)parts, .msg_iovlen = part_count};
  if (descriptor_count > 0) {
    memset(&control, 0, sizeof control);
    header.msg_control = control.space;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * descriptor_count);
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * descriptor_count);
    memcpy(CMSG_DATA(rights), descriptors, sizeof(int) * descriptor_count);
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &header, flags | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -1 : 0;
}

ssize_t lido_receive_message(int socket, void *message, size_t capacity, int *descriptors,
                             size_t *descriptor_count) {
  return lido_receive_flagged(socket, message, capacity, descriptors, descriptor_count,
                              MSG_DONTWAIT);
}

ssize_t lido_receive_flagged(int socket, void *message, size_t capacity, int *descriptors,
                             size_t *descriptor_count, int flags) {
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int) * LIDO_DESCRIPTORS_MAX)];
  } control;
  size_t room = *descriptor_count;
  *descriptor_count = 0;
  struct iovec part = {.iov_base = message, .iov_len = capacity};
  struct msghdr header = {
      .msg_iov = &part,
      .msg_iovlen = 1,
      .msg_control = control.space,
      .msg_controllen = sizeof control.space,
  };
  ssize_t received;
  do {
    received = recvmsg(socket, &header, flags | MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return -1;

  // MSG_CTRUNC: this process has no number left for a descriptor (or was sent too many).
  int failure = header.msg_flags & MSG_CTRUNC ? EMFILE : 0;
  if (header.msg_flags & MSG_TRUNC) failure = EMSGSIZE;
  size_t count = 0;
  for (struct cmsghdr *rights = CMSG_FIRSTHDR(&header); rights != NULL;
       rights = CMSG_NXTHDR(&header, rights)) {
    if (rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS) continue;
    size_t come = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < come; i++) {
      int descriptor;
      memcpy(&descriptor, CMSG_DATA(rights) + i * sizeof(int), sizeof(int));
      descriptor = lido_above_standard(descriptor);
      if (descriptor < 0) {
        failure = EMFILE;
      } else if (count < room) {
        descriptors[count++] = descriptor;
      } else {
        close(descriptor);
        failure = EMSGSIZE;
      }
    }
  }
  if (failure != 0) {
    for (size_t i = 0; i < count; i++) close(descriptors[i]);
    errno = failure;
    return -1;
  }
  *descriptor_count = count;
  return received;
}

int lido_arrange_descriptors(const int *sources, const int *targets, size_t count, int *keep) {
  int moved[LIDO_DESCRIPTORS_MAX];
  int top = 2;
  if (count > LIDO_DESCRIPTORS_MAX) {
    errno = EMSGSIZE;
    return -1;
  }
  for (size_t i = 0; i < count; i++) {
    if (targets[i] > top) top = targets[i];
  }
  // First out of the way of every target, then into place: no order of dup2 alone is safe when
  // sources and targets overlap.
  for (size_t i = 0; i < count; i++) {
    moved[i] = fcntl(sources[i], F_DUPFD_CLOEXEC, top + 1);
    if (moved[i] < 0) return -1;
  }
  if (*keep >= 0 && *keep <= top) {
    *keep = fcntl(*keep, F_DUPFD_CLOEXEC, top + 1);
    if (*keep < 0) return -1;
  }
  for (size_t i = 0; i < count; i++) {
    if (dup2(moved[i], targets[i]) < 0) return -1;
  }
  // Between the targets there may be gaps with strangers in them.
  for (int descriptor = 3; descriptor <= top; descriptor++) {
    int wanted = 0;
    for (size_t i = 0; i < count; i++) wanted |= targets[i] == descriptor;
    if (!wanted) close(descriptor);
  }
  if (*keep < 0) return close_range(top + 1, ~0U, 0);
  if (*keep > top + 1 && close_range(top + 1, *keep - 1, 0) < 0) return -1;
  return close_range(*keep + 1, ~0U, 0);
}
