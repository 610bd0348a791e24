#include "shared_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "memory_file.h"

#define MAGIC UINT64_C(0x3130657565755171)
// Where the items begin; the page before is mapped.
#define ITEMS_OFFSET 4096
// Memory that was used is given back in pieces of this many bytes, and this much at the beginning
// is kept for a queue that is emptied again and again.
#define PIECE_BYTES (UINT64_C(1) << 20)
// How long a call waits for the mutex, whatever its time limit: holders keep it for as long as one
// item takes to copy, unless they are stopped (SIGSTOP).
#define PATIENCE UINT64_C(1000000000)

// Positions count from ITEMS_OFFSET, in bytes.
struct state {
  uint64_t head;  // of the first item
  uint64_t tail;  // behind the last item
  uint64_t freed; // the memory before it was given back
  uint64_t puts;
  uint64_t gets;
};

struct lido_queue {
  uint64_t magic;
  uint64_t capacity;
  pthread_mutex_t mutex;
  // Lowest bit: somebody may be asleep on it. The rest counts what they sleep for.
  _Atomic uint32_t words[2];
  // Its lowest bit says which state is in force.
  _Atomic uint64_t turn;
  struct state states[2];
  _Atomic uint64_t recoveries;
};

_Static_assert(sizeof(struct lido_queue) <= ITEMS_OFFSET, "the state is one page");

// MARK: making and mapping

static int init_mutex(pthread_mutex_t *mutex) {
  pthread_mutexattr_t attributes;
  int failure = pthread_mutexattr_init(&attributes);
  if (failure != 0) return failure;
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  failure = pthread_mutex_init(mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
  return failure;
}

static struct lido_queue *map_page(int descriptor) {
  void *page = mmap(NULL, ITEMS_OFFSET, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  return page == MAP_FAILED ? NULL : page;
}

static struct lido_queue *create_in(int memory, uint64_t capacity) {
  if (!lido_may_reach(ITEMS_OFFSET)) {
    errno = EFBIG;
    return NULL;
  }
  if (ftruncate(memory, ITEMS_OFFSET) < 0) return NULL;
  struct lido_queue *queue = map_page(memory);
  if (queue == NULL) return NULL;
  int failure = init_mutex(&queue->mutex);
  // It may only grow: whoever cut it off would have the others die of SIGBUS.
  if (failure == 0 && fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) < 0) failure = errno;
  if (failure != 0) {
    lido_queue_unmap(queue);
    errno = failure;
    return NULL;
  }
  queue->capacity = capacity;
  queue->magic = MAGIC;
  return queue;
}

struct lido_queue *lido_queue_create(uint64_t capacity, int *descriptor) {
  int memory = lido_memory_file("lido-queue");
  if (memory < 0) return NULL;
  struct lido_queue *queue = create_in(memory, capacity);
  if (queue == NULL) {
    int failure = errno;
    close(memory);
    errno = failure;
    return NULL;
  }
  *descriptor = memory;
  return queue;
}

struct lido_queue *lido_queue_map(int descriptor) {
  struct stat status;
  if (fstat(descriptor, &status) < 0) return NULL;
  int seals = fcntl(descriptor, F_GET_SEALS);
  if (seals < 0 || !(seals & F_SEAL_SHRINK) || status.st_size < ITEMS_OFFSET) {
    errno = EINVAL;
    return NULL;
  }
  struct lido_queue *queue = map_page(descriptor);
  if (queue == NULL || queue->magic == MAGIC) return queue;
  lido_queue_unmap(queue);
  errno = EINVAL;
  return NULL;
}

void lido_queue_unmap(struct lido_queue *queue) { munmap(queue, ITEMS_OFFSET); }

// MARK: state and memory

static struct state current(const struct lido_queue *queue) {
  return queue->states[atomic_load(&((struct lido_queue *)queue)->turn) & 1];
}

// The mutex is held.
static void put_in_force(struct lido_queue *queue, const struct state *state) {
  uint64_t turn = atomic_load(&queue->turn);
  queue->states[(turn + 1) & 1] = *state;
  atomic_store(&queue->turn, turn + 1);
}

// Gives the memory of whole pages between two positions back to the system. That it fails costs
// memory and nothing else.
static void give_back(int descriptor, uint64_t from, uint64_t to) {
  from = (from + ITEMS_OFFSET - 1) / ITEMS_OFFSET * ITEMS_OFFSET;
  to = to / ITEMS_OFFSET * ITEMS_OFFSET;
  if (from >= to) return;
  while (fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                   (off_t)(ITEMS_OFFSET + from), (off_t)(to - from)) < 0 &&
         errno == EINTR) {
  }
}

// Gives back what no item uses: the part of one that was never finished may lie behind the last
// item, or, where the queue was about to begin anew, before the first.
static void give_back_unused(int descriptor, const struct state *state) {
  struct stat status;
  if (state->head > PIECE_BYTES) give_back(descriptor, 0, state->head);
  if (fstat(descriptor, &status) < 0 || status.st_size <= ITEMS_OFFSET) return;
  give_back(descriptor, state->tail, (uint64_t)status.st_size);
}

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static struct timespec moment(uint64_t nanoseconds) {
  return (struct timespec){
      .tv_sec = (time_t)(nanoseconds / 1000000000),
      .tv_nsec = (long)(nanoseconds % 1000000000),
  };
}

static int lock(struct lido_queue *queue, int descriptor, uint64_t deadline) {
  int result = pthread_mutex_trylock(&queue->mutex);
  if (result == EBUSY && deadline == UINT64_MAX) {
    result = pthread_mutex_lock(&queue->mutex);
  } else if (result == EBUSY) {
    uint64_t soonest = now() + PATIENCE;
    struct timespec end = moment(deadline > soonest ? deadline : soonest);
    result = pthread_mutex_clocklock(&queue->mutex, CLOCK_MONOTONIC, &end);
  }
  if (result != EOWNERDEAD) return result;
  // The state in force is whole, whatever its holder was about to do.
  pthread_mutex_consistent(&queue->mutex);
  atomic_fetch_add(&queue->recoveries, 1);
  struct state state = current(queue);
  give_back_unused(descriptor, &state);
  return 0;
}

// MARK: sleeping and waking

static void wake_all(_Atomic uint32_t *word) {
  syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

// Puts a state in force and wakes who sleeps for that. In this order, under the mutex: one who died
// between the change and the waking would leave them asleep for good, but one who dies after the
// waking leaves them waiting for a mutex that is robust. The bit goes last, so that until then
// the next caller would wake them again.
static void announce(struct lido_queue *queue, enum lido_queue_side side,
                     const struct state *state) {
  _Atomic uint32_t *word = &queue->words[side];
  int has_sleepers = atomic_load(word) & 1;
  if (has_sleepers) {
    atomic_fetch_add(word, 2);
    wake_all(word);
  }
  put_in_force(queue, state);
  if (has_sleepers) atomic_fetch_and(word, ~UINT32_C(1));
}

// Ends a call that found nothing to do. The mutex is held.
static int turn_away(struct lido_queue *queue, enum lido_queue_side side, int will_wait,
                     uint32_t *ticket) {
  if (will_wait) *ticket = atomic_fetch_or(&queue->words[side], 1) | 1;
  pthread_mutex_unlock(&queue->mutex);
  return EAGAIN;
}

void lido_queue_wait(struct lido_queue *queue, enum lido_queue_side side, uint32_t ticket,
                     uint64_t deadline) {
  struct timespec end = moment(deadline);
  syscall(SYS_futex, &queue->words[side], FUTEX_WAIT_BITSET, ticket,
          deadline == UINT64_MAX ? NULL : &end, NULL, FUTEX_BITSET_MATCH_ANY);
}

void lido_queue_wake(struct lido_queue *queue) {
  for (int side = 0; side < 2; side++) {
    atomic_fetch_add(&queue->words[side], 2);
    wake_all(&queue->words[side]);
  }
}

// MARK: putting

static int write_item(int descriptor, const void *bytes, uint64_t length, uint64_t position) {
  uint64_t end = ITEMS_OFFSET + position + sizeof length + length;
  if (end > INT64_MAX || end < length || !lido_may_reach(end)) return EFBIG;
  struct iovec parts[2] = {
      {.iov_base = &length, .iov_len = sizeof length},
      {.iov_base = (void *)bytes, .iov_len = length},
  };
  ssize_t written = pwritev(descriptor, parts, 2, (off_t)(ITEMS_OFFSET + position));
  if (written >= 0 && (uint64_t)written == sizeof length + length) return 0;
  if (written < 0 && errno != EINTR) return errno;
  // Cut short: the second attempt finishes it, or says why not.
  int failure = lido_write_exactly(descriptor, &length, sizeof length, ITEMS_OFFSET + position);
  if (failure != 0) return failure;
  return lido_write_exactly(descriptor, bytes, length, ITEMS_OFFSET + position + sizeof length);
}

// An empty queue begins at the front again, where the memory is there already.
static void begin_anew(int descriptor, struct state *state) {
  if (state->head != state->tail || state->tail == 0) return;
  if (state->tail > PIECE_BYTES) give_back(descriptor, state->freed, state->tail + ITEMS_OFFSET);
  state->head = state->tail = state->freed = 0;
}

int lido_queue_put(struct lido_queue *queue, int descriptor, const void *bytes, size_t length,
                   uint64_t deadline, int will_wait, uint32_t *ticket) {
  int failure = lock(queue, descriptor, deadline);
  if (failure != 0) return failure;
  struct state state = current(queue);
  if (queue->capacity != 0 && state.puts - state.gets >= queue->capacity) {
    return turn_away(queue, LIDO_QUEUE_PLACES, will_wait, ticket);
  }
  begin_anew(descriptor, &state);
  failure = write_item(descriptor, bytes, length, state.tail);
  if (failure == 0) {
    state.tail += sizeof(uint64_t) + length;
    state.puts++;
    announce(queue, LIDO_QUEUE_ITEMS, &state);
  } else {
    struct state old = current(queue);
    give_back_unused(descriptor, &old);
  }
  pthread_mutex_unlock(&queue->mutex);
  return failure;
}

// MARK: taking

// Reads the item at the head of `state`, and moves the head behind it.
static int read_item(int descriptor, struct state *state, void *buffer, size_t capacity,
                     void **large, size_t *length) {
  uint64_t present = state->tail - state->head;
  size_t first = present < capacity ? (size_t)present : capacity;
  uint64_t size;
  if (first < sizeof size) return EBADMSG;
  int failure = lido_read_exactly(descriptor, buffer, first, ITEMS_OFFSET + state->head);
  if (failure != 0) return failure;
  memcpy(&size, buffer, sizeof size);
  if (size > present - sizeof size) return EBADMSG;
  *length = size;
  *large = NULL;
  if (size > first - sizeof size) {
    char *memory = malloc(size);
    if (memory == NULL) return ENOMEM;
    size_t done = first - sizeof size;
    memcpy(memory, (char *)buffer + sizeof size, done);
    failure = lido_read_exactly(descriptor, memory + done, size - done,
                                ITEMS_OFFSET + state->head + first);
    if (failure != 0) {
      free(memory);
      return failure;
    }
    *large = memory;
  }
  state->head += sizeof size + size;
  state->gets++;
  return 0;
}

int lido_queue_get(struct lido_queue *queue, int descriptor, void *buffer, size_t capacity,
                   void **large, size_t *length, uint64_t deadline, int will_wait,
                   uint32_t *ticket) {
  int failure = lock(queue, descriptor, deadline);
  if (failure != 0) return failure;
  struct state state = current(queue);
  if (state.puts == state.gets) return turn_away(queue, LIDO_QUEUE_ITEMS, will_wait, ticket);
  failure = read_item(descriptor, &state, buffer, capacity, large, length);
  if (failure == 0) {
    announce(queue, LIDO_QUEUE_PLACES, &state);
    if (state.head - state.freed >= PIECE_BYTES) {
      // After the change: what dies in between is given back by the next one that comes here.
      give_back(descriptor, state.freed, state.head);
      state.freed = state.head / ITEMS_OFFSET * ITEMS_OFFSET;
      put_in_force(queue, &state);
    }
  }
  pthread_mutex_unlock(&queue->mutex);
  return failure;
}

// MARK: looking

struct lido_queue_counts lido_queue_count(const struct lido_queue *queue) {
  struct lido_queue *shared = (struct lido_queue *)queue;
  struct lido_queue_counts counts = {.capacity = queue->capacity};
  uint64_t turn;
  do {
    // The copy that was in force stays untouched until the turn after it.
    turn = atomic_load(&shared->turn);
    volatile const struct state *state = &queue->states[turn & 1];
    counts.items = state->puts - state->gets;
    atomic_thread_fence(memory_order_acquire);
  } while (turn != atomic_load(&shared->turn));
  counts.recoveries = atomic_load(&shared->recoveries);
  return counts;
}
