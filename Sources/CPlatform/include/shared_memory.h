#ifndef LIDO_SHARED_MEMORY_H
#define LIDO_SHARED_MEMORY_H
#include <stddef.h>
#include <stdint.h>

#include "shared_lock.h"

// Anonymous memory that processes share by its descriptor (memfd_create(2)): it has no name that
// could be left behind, and is gone with the last process that has it open or mapped. It begins
// with a page header that says what it holds, so that nobody takes it for anything else:
//
//   header, 128 bytes | room for a lock, 128 bytes | elements, aligned as they need it

enum { LIDO_SHARED_TYPE_BYTES = 72 }; // A name of an element type, cut to this, with its NUL.

// One mapping of such memory. To be passed by address, and not to be copied.
struct lido_shared_memory {
  void *base;
  size_t length;
  void *elements;
  size_t element_size; // Bytes from one element to the next.
  size_t count;
  struct lido_lock *lock; // NULL if there is none in here.
  enum lido_lock_kind lock_kind;
  int descriptor; // Close-on-exec.
};

// Makes memory for `memory->count` elements of `memory->element_size` bytes, all zero, and a lock
// of `memory->lock_kind`; fills in the rest. `name` shows in /proc/PID/maps. Its size is sealed:
// nobody can shrink it and have the others die of SIGBUS. Pages are taken from the system as they
// are touched.
// Returns 0, or an error number: ENOMEM if there is no such memory (a size that no process could
// have, more than RAM and swap, RLIMIT_AS, RLIMIT_FSIZE), EMFILE, ENFILE.
int lido_shared_make(struct lido_shared_memory *memory, const char *name, const char *type,
                     size_t alignment);

// Maps what `memory->descriptor` is of, and fills in the rest. The descriptor is the caller's when
// this fails.
// Returns 0, or an error number: EPROTOTYPE if it is not memory of lido_shared_make.
int lido_shared_map(struct lido_shared_memory *memory);

// The type that lido_shared_make was given.
const char *lido_shared_type(const struct lido_shared_memory *memory);

// Unmaps and closes. A lock in it that the calling thread holds counts as left behind. While
// another thread of this process holds it the memory stays mapped, for ever, as nobody could tell
// later when it ends; the descriptor does not.
void lido_shared_drop(const struct lido_shared_memory *memory);

// One element of 1, 2, 4 or 8 bytes, in one access: another process sees all of it or nothing, with
// or without a lock, and a loop that waits for a change is not optimised away.
static inline uint8_t lido_shared_load8(const void *place) {
  return __atomic_load_n((const uint8_t *)place, __ATOMIC_RELAXED);
}
static inline uint16_t lido_shared_load16(const void *place) {
  return __atomic_load_n((const uint16_t *)place, __ATOMIC_RELAXED);
}
static inline uint32_t lido_shared_load32(const void *place) {
  return __atomic_load_n((const uint32_t *)place, __ATOMIC_RELAXED);
}
static inline uint64_t lido_shared_load64(const void *place) {
  return __atomic_load_n((const uint64_t *)place, __ATOMIC_RELAXED);
}
static inline void lido_shared_store8(void *place, uint8_t bits) {
  __atomic_store_n((uint8_t *)place, bits, __ATOMIC_RELAXED);
}
static inline void lido_shared_store16(void *place, uint16_t bits) {
  __atomic_store_n((uint16_t *)place, bits, __ATOMIC_RELAXED);
}
static inline void lido_shared_store32(void *place, uint32_t bits) {
  __atomic_store_n((uint32_t *)place, bits, __ATOMIC_RELAXED);
}
static inline void lido_shared_store64(void *place, uint64_t bits) {
  __atomic_store_n((uint64_t *)place, bits, __ATOMIC_RELAXED);
}

#endif
