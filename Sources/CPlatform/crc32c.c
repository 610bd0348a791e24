#include "crc32c.h"
#include <string.h>

#if defined(__x86_64__)

int lido_crc32c_is_native(void) { return __builtin_cpu_supports("sse4.2") != 0; }

__attribute__((target("sse4.2"))) uint32_t lido_crc32c_native(uint32_t crc, const void *bytes,
                                                              size_t count) {
  const unsigned char *place = bytes;
  uint64_t wide = crc;
  for (; count >= 8; count -= 8, place += 8) {
    uint64_t word;
    memcpy(&word, place, 8);
    wide = __builtin_ia32_crc32di(wide, word);
  }
  crc = (uint32_t)wide;
  for (; count > 0; count--) crc = __builtin_ia32_crc32qi(crc, *place++);
  return crc;
}

#else

int lido_crc32c_is_native(void) { return 0; }

uint32_t lido_crc32c_native(uint32_t crc, const void *bytes, size_t count) {
  (void)bytes, (void)count;
  return crc;
}

#endif
