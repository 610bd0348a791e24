#include "shared_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory_file.h"

static const uint64_t shared_mark = 0x316472616873646cULL; // "ldshard1"
static const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

struct header {
  uint64_t mark;
  uint64_t count;
  uint64_t element_size;
  uint64_t elements_offset;
  uint32_t lock_kind;
  uint32_t reserved;
  char type[LIDO_SHARED_TYPE_BYTES];
};

// How the memory begins.
struct page {
  alignas(128) struct header header;
  alignas(128) unsigned char lock[LIDO_LOCK_BYTES];
};

_Static_assert(sizeof(struct header) <= 128, "the header is too large");
_Static_assert(sizeof(struct page) == 256, "the format has changed");

// The length of all of it, for a header that may come from anywhere. Returns 0 if there is none.
static size_t length_of(const struct header *header) {
  size_t bytes, length;
  if (header->elements_offset < sizeof(struct page)) return 0;
  if (__builtin_mul_overflow(header->count, header->element_size, &bytes)) return 0;
  if (__builtin_add_overflow(header->elements_offset, bytes, &length)) return 0;
  return length > (size_t)INT64_MAX ? 0 : length;
}

static int map(struct lido_shared_memory *memory, size_t length) {
  void *base = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, memory->descriptor, 0);
  if (base == MAP_FAILED) return errno;
  memory->base = base;
  memory->length = length;
  return 0;
}

static void point(struct lido_shared_memory *memory, const struct header *header) {
  struct page *page = memory->base;
  memory->elements = (char *)memory->base + header->elements_offset;
  memory->lock = memory->lock_kind == LIDO_LOCK_NONE ? NULL : (struct lido_lock *)page->lock;
}

static int fill(struct lido_shared_memory *memory, const struct header *header, size_t length) {
  if (ftruncate(memory->descriptor, (off_t)length) != 0) return errno == EFBIG ? ENOMEM : errno;
  if (fcntl(memory->descriptor, F_ADD_SEALS, seals) != 0) return errno;
  int failure = map(memory, length);
  if (failure != 0) return failure;
  struct page *page = memory->base;
  page->header = *header;
  if (memory->lock_kind == LIDO_LOCK_NONE) return 0;
  failure = lido_lock_make(page->lock, memory->lock_kind);
  if (failure != 0) munmap(memory->base, length);
  return failure;
}

int lido_shared_make(struct lido_shared_memory *memory, const char *name, const char *type,
                     size_t alignment) {
  struct header header = {
      .mark = shared_mark,
      .count = memory->count,
      .element_size = memory->element_size,
      .elements_offset = (sizeof(struct page) + alignment - 1) / alignment * alignment,
      .lock_kind = memory->lock_kind,
  };
  strncpy(header.type, type, sizeof header.type - 1);
  size_t length = length_of(&header);
  if (length == 0 || !lido_may_reach(length)) return ENOMEM;
  // A mapping begins at a page, and an element of a larger alignment may not.
  if (alignment > (size_t)sysconf(_SC_PAGESIZE)) return EINVAL;
  memory->descriptor = lido_memory_file(name);
  if (memory->descriptor < 0) return errno;
  int failure = fill(memory, &header, length);
  if (failure != 0) {
    close(memory->descriptor);
    return failure;
  }
  point(memory, &header);
  return 0;
}

// Whether the header fits the memory, whoever wrote it.
static int is_sound(const struct header *header, size_t length) {
  return header->mark == shared_mark && length_of(header) == length &&
         header->lock_kind <= LIDO_LOCK_RECURSIVE &&
         header->type[LIDO_SHARED_TYPE_BYTES - 1] == '\0';
}

int lido_shared_map(struct lido_shared_memory *memory) {
  struct stat status;
  if (fstat(memory->descriptor, &status) != 0) return errno;
  int found = fcntl(memory->descriptor, F_GET_SEALS);
  if (found < 0 || (found & seals) != seals || status.st_size < (off_t)sizeof(struct page)) {
    return EPROTOTYPE;
  }
  int failure = map(memory, (size_t)status.st_size);
  if (failure != 0) return failure;
  struct header header = ((struct page *)memory->base)->header;
  if (!is_sound(&header, memory->length)) {
    munmap(memory->base, memory->length);
    return EPROTOTYPE;
  }
  memory->count = header.count;
  memory->element_size = header.element_size;
  memory->lock_kind = header.lock_kind;
  point(memory, &header);
  return 0;
}

const char *lido_shared_type(const struct lido_shared_memory *memory) {
  return ((const struct page *)memory->base)->header.type;
}

void lido_shared_drop(const struct lido_shared_memory *memory) {
  if (memory->lock == NULL || lido_lock_retire(memory->lock)) {
    munmap(memory->base, memory->length);
  }
  close(memory->descriptor);
}
