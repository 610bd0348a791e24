#include "memory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "descriptors.h"

int lido_memory_file(const char *name) {
  return lido_above_standard(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
}

int lido_may_reach(uint64_t end) {
  struct rlimit limit;
  return getrlimit(RLIMIT_FSIZE, &limit) < 0 || end <= limit.rlim_cur;
}

int lido_write_exactly(int descriptor, const void *bytes, size_t length, uint64_t position) {
  size_t done = 0;
  if (!lido_may_reach(position + length)) return EFBIG;
  while (done < length) {
    ssize_t count = pwrite(descriptor, (const char *)bytes + done, length - done,
                           (off_t)(position + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return count < 0 ? errno : ENOSPC;
    done += (size_t)count;
  }
  return 0;
}

int lido_read_exactly(int descriptor, void *bytes, size_t length, uint64_t position) {
  size_t done = 0;
  while (done < length) {
    ssize_t count = pread(descriptor, (char *)bytes + done, length - done,
                          (off_t)(position + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return count < 0 ? errno : EBADMSG;
    done += (size_t)count;
  }
  return 0;
}

int lido_sealed_memory(const char *name, const void *bytes, size_t length) {
  static const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
  int memory = lido_memory_file(name);
  if (memory < 0) return -1;
  int failure = lido_write_exactly(memory, bytes, length, 0);
  if (failure == 0 && fcntl(memory, F_ADD_SEALS, seals) < 0) failure = errno;
  if (failure == 0) return memory;
  close(memory);
  errno = failure;
  return -1;
}
