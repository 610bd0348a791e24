#ifndef LIDO_SHARED_QUEUE_H
#define LIDO_SHARED_QUEUE_H
#include <stddef.h>
#include <stdint.h>

// A queue of byte strings in anonymous memory (a memfd) that any number of processes share. What is
// in it belongs to no process: whoever put it may end, or be killed at any instruction, and neither
// loses nor blocks anything.
//
//   page 0   mapped by everybody: the mutex, two words to sleep on, the state in two copies
//   page 1…  the items, one behind the other, read and written by pread(2) and pwrite(2):
//            8 bytes of length, then the bytes
//
// The state says where the first item begins and the last one ends. A change is prepared in the
// copy that is not in force and put in force by one store, so that a holder of the mutex that dies
// leaves the state before or the state after; the mutex is robust, and its next holder goes on.
//
// All functions may be called by any thread of any process.
struct lido_queue;

// What to sleep on.
enum lido_queue_side {
  LIDO_QUEUE_ITEMS,  // until something is put
  LIDO_QUEUE_PLACES, // until something is taken
};

// What holds at one moment.
struct lido_queue_counts {
  uint64_t items;      // that are in it
  uint64_t capacity;   // most items; 0 without a bound
  uint64_t recoveries; // how many holders of the mutex died
};

// Makes an empty queue. Returns it and, through `descriptor`, its close-on-exec memfd; or NULL with
// errno.
struct lido_queue *lido_queue_create(uint64_t capacity, int *descriptor);

// Maps the queue behind a memfd; NULL with errno (EINVAL: it holds no queue).
struct lido_queue *lido_queue_map(int descriptor);

// Ends the mapping; the descriptor stays open.
void lido_queue_unmap(struct lido_queue *queue);

// Appends an item. Returns 0 or an errno: EAGAIN when the queue is full, and then, if
// `will_wait`, `*ticket` is for lido_queue_wait. ETIMEDOUT: another process held the mutex until
// `deadline` and for a second at least (it is stopped). EFBIG, ENOSPC, ENOMEM: no memory; the queue
// is as before.
int lido_queue_put(struct lido_queue *queue, int descriptor, const void *bytes, size_t length,
                   uint64_t deadline, int will_wait, uint32_t *ticket);

// Takes the first item. It is behind the first 8 bytes of `buffer`, which is of `capacity` bytes,
// at least 8; or, if it does not fit, in `*large`, for the caller to free(3). Returns 0 or an errno
// as lido_queue_put does; EAGAIN when the queue is empty, EBADMSG when a stranger wrote into it.
int lido_queue_get(struct lido_queue *queue, int descriptor, void *buffer, size_t capacity,
                   void **large, size_t *length, uint64_t deadline, int will_wait,
                   uint32_t *ticket);

// Sleeps until what the ticket stands for has happened since; also after a signal,
// lido_queue_wake, or at `deadline` (in nanoseconds of CLOCK_MONOTONIC, UINT64_MAX for none).
void lido_queue_wait(struct lido_queue *queue, enum lido_queue_side side, uint32_t ticket,
                     uint64_t deadline);

// Has everybody who sleeps look again.
void lido_queue_wake(struct lido_queue *queue);

// Reads the counts. Never waits, takes no lock.
struct lido_queue_counts lido_queue_count(const struct lido_queue *queue);

#endif
