#ifndef LIDO_MEMORY_FILE_H
#define LIDO_MEMORY_FILE_H
#include <stddef.h>
#include <stdint.h>

// Anonymous files in memory (memfd_create(2)): all that processes share lies in such a one. It has
// no name that could be left behind, and is gone with its last descriptor and mapping.

// Makes an empty one that can be sealed: close-on-exec, above the standard descriptors. `name`
// shows in /proc/PID/maps. Returns it, or -1 with errno.
int lido_memory_file(const char *name);

// Whether a file may reach `end`. A write beyond what RLIMIT_FSIZE says would raise SIGXFSZ, which
// ends the process.
int lido_may_reach(uint64_t end);

// Writes, and reads, exactly `length` bytes at `position`, whatever cuts the calls short. Return 0,
// or an error number (EFBIG: it may not reach so far; EBADMSG: the file is shorter).
int lido_write_exactly(int descriptor, const void *bytes, size_t length, uint64_t position);
int lido_read_exactly(int descriptor, void *bytes, size_t length, uint64_t position);

// A memory file that holds `length` bytes, can never change, and is read from its beginning.
// Returns it, or -1 with errno: EFBIG also where a write would raise SIGXFSZ.
int lido_sealed_memory(const char *name, const void *bytes, size_t length);

#endif
