#include "claims.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory_file.h"

// High half: the ordinal up to which unclaimed calls are revoked. Low half: the last claimed one.
struct lido_claims {
  _Atomic uint64_t word;
};

static uint64_t pack(uint32_t revoked, uint32_t claimed) {
  return (uint64_t)revoked << 32 | claimed;
}

struct lido_claims *lido_claims_create(int *descriptor) {
  int page = lido_memory_file("lido-claims");
  if (page < 0) return NULL;
  if (!lido_may_reach(sizeof(struct lido_claims))) {
    close(page);
    errno = EFBIG;
    return NULL;
  }
  // Sealed in size: a worker that shrank it would have the server die of SIGBUS.
  if (ftruncate(page, sizeof(struct lido_claims)) == 0 &&
      fcntl(page, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
    struct lido_claims *claims = lido_claims_map(page);
    if (claims != NULL) {
      *descriptor = page;
      return claims;
    }
  }
  int failure = errno;
  close(page);
  errno = failure;
  return NULL;
}

struct lido_claims *lido_claims_map(int descriptor) {
  void *page = mmap(NULL, sizeof(struct lido_claims), PROT_READ | PROT_WRITE, MAP_SHARED,
                    descriptor, 0);
  return page == MAP_FAILED ? NULL : page;
}

void lido_claims_unmap(struct lido_claims *claims) {
  if (claims != NULL) munmap(claims, sizeof(struct lido_claims));
}

int lido_claims_take(struct lido_claims *claims, uint32_t ordinal) {
  uint64_t seen = atomic_load(&claims->word);
  do {
    if (ordinal <= (uint32_t)(seen >> 32)) return 0;
  } while (!atomic_compare_exchange_weak(&claims->word, &seen,
                                         pack((uint32_t)(seen >> 32), ordinal)));
  return 1;
}

uint32_t lido_claims_revoke(struct lido_claims *claims, uint32_t last) {
  uint64_t seen = atomic_load(&claims->word);
  while (!atomic_compare_exchange_weak(&claims->word, &seen, pack(last, (uint32_t)seen))) {
  }
  return (uint32_t)seen;
}

uint32_t lido_claims_last(const struct lido_claims *claims) {
  return (uint32_t)atomic_load(&((struct lido_claims *)claims)->word);
}
