#ifndef LIDO_STRAYS_H
#define LIDO_STRAYS_H
// Private to CPlatform: the children of the fork server that it did not start. Each was orphaned by
// one that it did start, or by another stray, and nobody waits for it.
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "forkserver.h"

// Those that are not reaped, so that their numbers are nobody else's; and when each is to be
// killed, in monotonic milliseconds.
struct lido_strays {
  size_t count;
  size_t capacity;
  struct lido_stray {
    pid_t process;
    uint64_t due;
  } *list;
};

// These are the strays by now: those that are new are due at `due`, the others when they were. One
// for which there is no memory is new the next time.
void lido_strays_found(struct lido_strays *strays, const struct lido_processes *found,
                       uint64_t due);

// When a child that was reaped would have been due, and forgets it; 0 if it was no stray.
uint64_t lido_strays_reaped(struct lido_strays *strays, pid_t process);

// Kills those that are due at `now`. They stay in the list until they are reaped. Returns when the
// next one is due; 0: none is.
uint64_t lido_strays_kill_due(const struct lido_strays *strays, uint64_t now);

#endif
