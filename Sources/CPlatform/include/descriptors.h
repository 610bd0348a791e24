#ifndef LIDO_DESCRIPTORS_H
#define LIDO_DESCRIPTORS_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

// Most descriptors that one message may carry. The kernel's own bound (SCM_MAX_FD) is 253.
enum { LIDO_DESCRIPTORS_MAX = 32 };

// Opens /dev/null in place of whichever of descriptors 0, 1 and 2 are closed, so that no socket or
// pipe of ours can take such a number and be written to as somebody's stdout.
// Returns 0, or -1 with errno.
int lido_reserve_standard_descriptors(void);

// Moves a close-on-exec descriptor that was just made off the numbers 0, 1 and 2: the program may
// have closed those since they were reserved. Returns its number from then on; -1 with errno, as
// `descriptor` is -1 or no number is left.
int lido_above_standard(int descriptor);

// Has stdout written line by line, even where it is no terminal (Swift 6 cannot name `stdout`).
void lido_buffer_stdout_by_line(void);

// Writes what is buffered of stdout, and costs nothing if that is nothing.
void lido_flush_stdout(void);

// Two connected sockets (AF_UNIX, close-on-exec, above the standard descriptors) of `type`, which
// may have flags. Returns 0, or -1 with errno.
int lido_socket_pair(int type, int ends[2]);

// Makes a pipe between this process and one that it starts. `*ours` is the end that writes if
// `writes`, else the one that reads, and does not wait; `*theirs`, the other one, does, as programs
// expect it. Both are close-on-exec and above the standard descriptors. Returns 0, or -1 with
// errno.
int lido_make_pipe(int writes, int *ours, int *theirs);

// Sends one message with descriptors attached (SCM_RIGHTS). Never raises SIGPIPE, never waits.
// The descriptors stay the caller's. Returns 0, or -1 with errno (EAGAIN: the socket is full;
// EMSGSIZE: the message is larger than the socket will ever take).
int lido_send_message(int socket, const void *message, size_t length, const int *descriptors,
                      size_t descriptor_count);

// Receives one message and its descriptors (close-on-exec, above the standard ones). Never waits.
// `*descriptor_count` says on entry how many `descriptors` has room for, at most
// LIDO_DESCRIPTORS_MAX, and on return how many came. A message or a list of descriptors that does
// not fit is an error: its descriptors are closed and errno is EMSGSIZE; EMFILE if this process
// has no number left for one of them. The message itself is there all the same, as far as it fits.
// Returns the length, 0 when the peer has ended, -1 with errno otherwise.
ssize_t lido_receive_message(int socket, void *message, size_t capacity, int *descriptors,
                             size_t *descriptor_count);

// The two above for a message in parts, and with the `flags` of sendmsg(2) and recvmsg(2) in place
// of MSG_DONTWAIT: 0 waits, and a signal does not end the wait.
int lido_send_parts(int socket, const struct iovec *parts, size_t part_count,
                    const int *descriptors, size_t descriptor_count, int flags);
ssize_t lido_receive_flagged(int socket, void *message, size_t capacity, int *descriptors,
                             size_t *descriptor_count, int flags);

// Gives the calling process exactly the descriptors 0, 1, 2, `keep` and `targets`, where
// `targets[i]` is what `sources[i]` was; everything else is closed. The sources may overlap the
// targets in any way. `keep` (-1: none) may be moved to a number above all targets; its number is
// returned through it. Async-signal-safe. Returns 0, or -1 with errno.
int lido_arrange_descriptors(const int *sources, const int *targets, size_t count, int *keep);

#endif
