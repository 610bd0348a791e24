#ifndef LIDO_WAITING_H
#define LIDO_WAITING_H
#include <poll.h>
#include <stddef.h>
#include <stdint.h>

// ppoll(2) with a bound in nanoseconds, negative for none (Glibc's module lacks ppoll). Returns as
// it does: the number of entries that are ready, 0 when the time is over, -1 with errno.
int lido_poll(struct pollfd *entries, size_t count, int64_t nanoseconds);

#endif
