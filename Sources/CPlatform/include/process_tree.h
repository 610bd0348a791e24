#ifndef LIDO_PROCESS_TREE_H
#define LIDO_PROCESS_TREE_H
#include <stdint.h>
#include <sys/types.h>

// Most processes of one tree that are read; what is beyond is not counted.
enum { LIDO_TREE_PROCESSES_MAX = 1024 };

// What a process and everything below it use.
struct lido_tree_usage {
  // User and system time of all of them, and of the children that they have waited for. What runs
  // is exact to one interval of the scheduler (1/CONFIG_HZ); what was waited for, to two units of
  // 10 ms for each process that waited, rounded down.
  uint64_t cpu_nanoseconds;
  // Resident pages that are neither of a file nor shared memory. A page that a fork shares counts
  // once for each process that maps it; what was swapped out does not count.
  uint64_t memory_bytes;
  // When the process itself was started, in hundredths of a second since boot (_SC_CLK_TCK): tells
  // it from a later one with the same number.
  uint64_t started_at;
  uint32_t process_count; // Zombies included.
};

// How the children of a process are found.
enum lido_tree_method {
  LIDO_TREE_AUTOMATIC = 0, // The next, unless this kernel lacks it.
  LIDO_TREE_CHILDREN = 1,  // /proc/PID/task/*/children (CONFIG_PROC_CHILDREN).
  LIDO_TREE_SCAN = 2,      // The parent of every process there is: slow, allocates.
};

// Reads the tree below `root` from /proc: about four files a process, no allocation unless it
// scans. Nobody is stopped for it, so a process whose parent ends at this moment may be missed;
// none counts twice. Children in groups and sessions of their own are included; so are orphans if
// `root` is a subreaper.
// Returns 0, or an error number: ESRCH if `root` is gone, EMFILE and the like if it could not be
// read.
int lido_read_tree(pid_t root, enum lido_tree_method method, struct lido_tree_usage *usage);

#endif
