#include "shared_lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

// The mutex decides; what follows it is written only by its holder, and is for whoever finds the
// holder dead. The order of these stores is what makes a death at any instruction harmless:
//
//   taking:  mutex, process, depth = 1        releasing:  depth = 0, process = 0, mutex
//
// A holder that is found dead at depth 0 was outside of what the lock protects, and nobody is
// told. At any other depth `process` is its own.
struct lido_lock {
  pthread_mutex_t mutex;
  _Atomic int32_t process;
  _Atomic uint32_t depth;
  // A holder that has died, and of which nobody has been told yet; 0: none.
  _Atomic int32_t dead;
  // Where the holder has mapped this lock: there, the kernel will look when it ends.
  _Atomic uintptr_t address;
};

_Static_assert(sizeof(struct lido_lock) <= LIDO_LOCK_BYTES, "a lock is too large");
_Static_assert(_Alignof(struct lido_lock) <= LIDO_LOCK_ALIGNMENT, "a lock is not aligned");
_Static_assert(sizeof(((pthread_mutex_t *)0)->__data.__lock) == 4, "not the kernel's futex word");

// Who the calling thread is. getpid(2) and gettid(2) are system calls, which would cost more than
// the lock does.
struct identity {
  int32_t process;
  int32_t thread;
};

static _Thread_local struct identity self;

// The process that `self` of its threads may be believed in. It lies in a page that the kernel
// wipes in a child of any kind of fork, so a thread of the child never takes its parent's identity
// for its own. NULL: not there yet, or the kernel has no such pages.
static _Atomic(_Atomic int32_t *) believed;

static _Atomic int32_t *make_believed(void) {
  size_t size = (size_t)sysconf(_SC_PAGESIZE);
  void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return NULL;
  _Atomic int32_t *seen = NULL;
  if (madvise(page, size, MADV_WIPEONFORK) != 0 ||
      !atomic_compare_exchange_strong(&believed, &seen, (_Atomic int32_t *)page)) {
    munmap(page, size);
    return seen;
  }
  return page;
}

__attribute__((noinline)) static struct identity find_identity(void) {
  self = (struct identity){.process = getpid(), .thread = gettid()};
  _Atomic int32_t *page = atomic_load_explicit(&believed, memory_order_acquire);
  if (page == NULL) page = make_believed();
  if (page != NULL) atomic_store_explicit(page, self.process, memory_order_relaxed);
  return self;
}

static inline struct identity identity(void) {
  _Atomic int32_t *page = atomic_load_explicit(&believed, memory_order_acquire);
  if (__builtin_expect(page != NULL, 1)) {
    int32_t process = atomic_load_explicit(page, memory_order_relaxed);
    struct identity own = self;
    if (__builtin_expect(process != 0 && own.process == process, 1)) return own;
  }
  return find_identity();
}

// The thread id of the holder, 0 if there is none or it has died. That it is in these bits of the
// mutex' word is what the kernel demands of a robust mutex (linux/futex.h).
static inline int32_t holder(const struct lido_lock *lock) {
  return __atomic_load_n(&lock->mutex.__data.__lock, __ATOMIC_RELAXED) & FUTEX_TID_MASK;
}

static struct lido_lock_answer answer(enum lido_lock_outcome outcome, int32_t process) {
  return (struct lido_lock_answer){.outcome = outcome, .process = process};
}

int lido_lock_make(void *place, enum lido_lock_kind kind) {
  struct lido_lock *lock = place;
  int type = kind == LIDO_LOCK_RECURSIVE ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_ERRORCHECK;
  pthread_mutexattr_t attributes;
  int failure = pthread_mutexattr_init(&attributes);
  if (failure != 0) return failure;
  failure = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  if (failure == 0) failure = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  if (failure == 0) failure = pthread_mutexattr_settype(&attributes, type);
  if (failure == 0) failure = pthread_mutex_init(&lock->mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
  return failure;
}

static int take(struct lido_lock *lock, int64_t deadline) {
  if (deadline == LIDO_LOCK_WITHOUT_BOUND) return pthread_mutex_lock(&lock->mutex);
  int failure = pthread_mutex_trylock(&lock->mutex);
  if (failure != EBUSY || deadline == LIDO_LOCK_AT_ONCE) return failure;
  struct timespec moment = {.tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000};
  return pthread_mutex_clocklock(&lock->mutex, CLOCK_MONOTONIC, &moment);
}

// The calling thread has taken the mutex from a dead holder: all is as after a release, but for
// what is noted. If this thread dies on the way, the next one does it again.
static void repair(struct lido_lock *lock) {
  if (atomic_load_explicit(&lock->depth, memory_order_relaxed) != 0) {
    int32_t none = 0;
    int32_t process = atomic_load_explicit(&lock->process, memory_order_relaxed);
    // Of several that died before anyone could be told, the first is named.
    atomic_compare_exchange_strong(&lock->dead, &none, process);
    atomic_store_explicit(&lock->depth, 0, memory_order_release);
  }
  pthread_mutex_consistent(&lock->mutex);
}

static void begin(struct lido_lock *lock) {
  uint32_t depth = atomic_load_explicit(&lock->depth, memory_order_relaxed);
  if (depth == 0) {
    atomic_store_explicit(&lock->process, identity().process, memory_order_relaxed);
    atomic_store_explicit(&lock->address, (uintptr_t)lock, memory_order_relaxed);
  }
  atomic_store_explicit(&lock->depth, depth + 1, memory_order_release);
  // Nothing of what is protected is written before.
  atomic_signal_fence(memory_order_seq_cst);
}

static void end(struct lido_lock *lock) {
  uint32_t depth = atomic_load_explicit(&lock->depth, memory_order_relaxed);
  // After all of what is protected.
  atomic_store_explicit(&lock->depth, depth - 1, memory_order_release);
  if (depth == 1) {
    atomic_store_explicit(&lock->process, 0, memory_order_release);
    atomic_store_explicit(&lock->address, 0, memory_order_relaxed);
  }
  pthread_mutex_unlock(&lock->mutex);
}

// The holder of a plain lock waits for itself: nobody else can release it.
static void wait_in_vain(int64_t deadline) {
  struct timespec moment = {.tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, NULL) == EINTR) {
  }
}

struct lido_lock_answer lido_lock_acquire(struct lido_lock *lock, int64_t deadline) {
  int failure = take(lock, deadline);
  switch (failure) {
  case 0:
    break;
  case EOWNERDEAD:
    repair(lock);
    break;
  case EBUSY:
  case ETIMEDOUT:
    return answer(LIDO_LOCK_BUSY, 0);
  case EDEADLK:
    if (deadline == LIDO_LOCK_WITHOUT_BOUND) return answer(LIDO_LOCK_OWN, 0);
    if (deadline != LIDO_LOCK_AT_ONCE) wait_in_vain(deadline);
    return answer(LIDO_LOCK_BUSY, 0);
  case EAGAIN:
    return answer(LIDO_LOCK_TOO_DEEP, 0);
  default:
    return answer(LIDO_LOCK_BROKEN, failure);
  }
  int32_t dead = atomic_load_explicit(&lock->dead, memory_order_relaxed);
  if (__builtin_expect(dead != 0, 0)) {
    // Noted only while the lock was free, so this is not a recursive call.
    atomic_store_explicit(&lock->dead, 0, memory_order_relaxed);
    pthread_mutex_unlock(&lock->mutex);
    return answer(LIDO_LOCK_LEFT, dead);
  }
  begin(lock);
  return answer(LIDO_LOCK_TAKEN, 0);
}

struct lido_lock_answer lido_lock_enter(struct lido_lock *lock) {
  int failure = pthread_mutex_lock(&lock->mutex);
  switch (failure) {
  case EOWNERDEAD:
    repair(lock);
    // Falls through.
  case 0:
    begin(lock);
    return answer(LIDO_LOCK_TAKEN, 0);
  case EDEADLK:
    return answer(LIDO_LOCK_OWN, 0);
  case EAGAIN:
    return answer(LIDO_LOCK_TOO_DEEP, 0);
  default:
    return answer(LIDO_LOCK_BROKEN, failure);
  }
}

struct lido_lock_answer lido_lock_release(struct lido_lock *lock) {
  int32_t thread = holder(lock);
  if (thread != identity().thread) {
    if (thread == 0) return answer(LIDO_LOCK_FREE, 0);
    return answer(LIDO_LOCK_FOREIGN, atomic_load_explicit(&lock->process, memory_order_relaxed));
  }
  end(lock);
  return answer(LIDO_LOCK_RELEASED, 0);
}

int lido_lock_is_held(const struct lido_lock *lock) { return holder(lock) != 0; }

struct lido_lock_state lido_lock_look(const struct lido_lock *lock) {
  int32_t thread = holder(lock);
  if (thread == 0) return (struct lido_lock_state){0};
  return (struct lido_lock_state){
      .is_held = 1,
      .is_own = thread == identity().thread,
      .process = atomic_load_explicit(&lock->process, memory_order_relaxed),
      .depth = atomic_load_explicit(&lock->depth, memory_order_relaxed),
  };
}

int lido_lock_retire(struct lido_lock *lock) {
  struct identity own = identity();
  int32_t thread = holder(lock);
  // Only this process stores this number and this address together, and it clears them when it
  // releases; a dead holder's stay, but then there is no thread.
  if (thread == 0 || lock->process != own.process || lock->address != (uintptr_t)lock) return 1;
  if (thread != own.thread) return 0;
  uint32_t depth = lock->depth;
  int32_t none = 0;
  atomic_compare_exchange_strong(&lock->dead, &none, own.process);
  lock->depth = 0;
  lock->process = 0;
  lock->address = 0;
  while (depth-- > 0) pthread_mutex_unlock(&lock->mutex);
  return 1;
}
