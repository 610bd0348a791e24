#ifndef LIDO_PACKETS_H
#define LIDO_PACKETS_H
#include <stddef.h>
#include <stdint.h>

// What the two ends of a pipe between processes are made of.

// Two connected sockets (AF_UNIX, SOCK_SEQPACKET, close-on-exec, above the standard descriptors):
// the kernel keeps the bounds of messages and makes each send and each receive whole or nothing,
// whoever else uses the same end. If `one_way`, ends[0] only reads and ends[1] only writes.
// Returns 0, or -1 with errno.
int lido_packet_pair(int one_way, int ends[2]);

// An eventfd (close-on-exec, above the standard descriptors); -1 with errno.
int lido_event(void);

// Has `event` be readable until it is cleared.
void lido_event_set(int event);
void lido_event_clear(int event);

// Waits until `descriptor` is ready for `events` (poll(2)), hung up or failed: returns 1; or until
// `event` is readable: 2. Both: 3. 0: neither in `nanoseconds`, negative for no bound. -1 with
// errno; a signal gives EINTR.
int lido_await(int descriptor, int events, int event, int64_t nanoseconds);

// Whether the calling process has one thread only, and so nobody who could act while it waits.
int lido_has_one_thread(void);

#endif
