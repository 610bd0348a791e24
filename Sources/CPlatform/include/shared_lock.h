#ifndef LIDO_SHARED_LOCK_H
#define LIDO_SHARED_LOCK_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// A lock in shared memory: a robust, process-shared mutex (pthread_mutexattr_setrobust(3)) that
// remembers who holds it. A holder is a thread. One that ends, for whatever reason and at whatever
// instruction, leaves the lock free, and whoever takes it next is told, unless the dead one had not
// begun or had finished already what the lock protects.
//
// A child of fork(2) holds nothing that its parent's thread holds. A thread that holds more than
// 2,048 robust mutexes at once leaves the rest of them locked (ROBUST_LIST_LIMIT of the kernel).
// All processes must be of one process id namespace: the mutex knows its holder by thread id.

struct lido_lock;

enum {
  LIDO_LOCK_BYTES = 128, // What a lock takes at most.
  LIDO_LOCK_ALIGNMENT = 64,
};

enum lido_lock_kind {
  LIDO_LOCK_NONE = 0,
  LIDO_LOCK_PLAIN = 1,     // Its holder does not get it again.
  LIDO_LOCK_RECURSIVE = 2, // Its holder gets it again, and releases it as often.
};

enum lido_lock_outcome {
  LIDO_LOCK_TAKEN = 0,
  LIDO_LOCK_RELEASED = 1,
  LIDO_LOCK_BUSY = 2,     // Not in time.
  LIDO_LOCK_OWN = 3,      // The calling thread holds it, and would wait for itself for ever.
  LIDO_LOCK_LEFT = 4,     // `process` died while it held the lock, which is free now.
  LIDO_LOCK_FOREIGN = 5,  // Another thread holds it: one of `process`, 0 if that is not known yet.
  LIDO_LOCK_FREE = 6,     // Nobody holds it.
  LIDO_LOCK_TOO_DEEP = 7, // Its holder has it 2^32 - 1 times.
  LIDO_LOCK_BROKEN = 8,   // `process` is the error number of the mutex: its memory was overwritten.
};

struct lido_lock_answer {
  enum lido_lock_outcome outcome;
  int32_t process;
};

// Moments of CLOCK_MONOTONIC in nanoseconds, and these two.
enum {
  LIDO_LOCK_AT_ONCE = 0,
  LIDO_LOCK_WITHOUT_BOUND = -1,
};

// Makes a lock of LIDO_LOCK_BYTES zeroed and aligned bytes that no other process has yet. Returns
// 0 or an error number.
int lido_lock_make(void *place, enum lido_lock_kind kind);

// Takes the lock, waiting until `deadline` at most. TAKEN, BUSY, OWN (only of a plain lock and
// without bound), LEFT, TOO_DEEP or BROKEN.
struct lido_lock_answer lido_lock_acquire(struct lido_lock *lock, int64_t deadline);

// Takes the lock for one access by someone who cannot be told of a death: it stays noted for the
// next lido_lock_acquire. TAKEN, OWN (a plain lock that the thread holds: nothing is to be
// released), TOO_DEEP or BROKEN.
struct lido_lock_answer lido_lock_enter(struct lido_lock *lock);

// Gives the lock back. RELEASED, FOREIGN or FREE.
struct lido_lock_answer lido_lock_release(struct lido_lock *lock);

// Whether a living thread of any process holds it, at this moment.
int lido_lock_is_held(const struct lido_lock *lock);

struct lido_lock_state {
  int32_t is_held;
  int32_t is_own;  // by the calling thread
  int32_t process; // of the holder; 0 if nobody, or not known yet
  uint32_t depth;  // how often the holder has it
};

// Who holds it at this moment; for a text.
struct lido_lock_state lido_lock_look(const struct lido_lock *lock);

// To be called before the calling process unmaps the lock's memory, when no other thread of it is
// in a call on this mapping. If the calling thread holds it, it lets go, as if it had died. Returns
// whether the memory may be unmapped: not while another thread of this process holds it, as the
// kernel will look there when that thread ends.
int lido_lock_retire(struct lido_lock *lock);

#endif
