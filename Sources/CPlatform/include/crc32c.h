#ifndef LIDO_CRC32C_H
#define LIDO_CRC32C_H
#include <stddef.h>
#include <stdint.h>

// CRC-32C by the CPU's own instruction (x86: SSE 4.2): no tables that take room in the cache.

// Whether this CPU has it.
int lido_crc32c_is_native(void);

// The register after `count` further bytes; neither inverted at the start nor at the end. Only
// where `lido_crc32c_is_native`.
uint32_t lido_crc32c_native(uint32_t crc, const void *bytes, size_t count);

#endif
