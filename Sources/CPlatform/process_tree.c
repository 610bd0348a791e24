#include "process_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// Walks over the tree that may be made for one reading, if processes vanish under them.
enum { WALKS_MAX = 3 };

struct process {
  pid_t number;
  pid_t parent;
};

// The processes found so far, breadth first: those before `next` have been read. Processes only
// ever move towards the root, whose children are listed first, so none is found twice.
struct walk {
  struct process found[LIDO_TREE_PROCESSES_MAX];
  size_t count;
  const struct process *everyone; // For a scan; NULL otherwise.
  size_t everyone_count;
  int lost; // One that was found has vanished before it was read.
};

// What one process says in /proc/PID/stat.
struct vital {
  pid_t parent;
  uint64_t waited_units; // User and system time of the children it has waited for.
  uint64_t threads;
  uint64_t started_at;
};

// Whether this error number says that a process is gone.
static int is_gone(int number) { return number == ENOENT || number == ESRCH; }

// Reads the start of the file at `path` as a string. Returns 0 or an error number.
static int read_text(const char *path, char *text, size_t capacity) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return errno;
  ssize_t length = read(file, text, capacity - 1);
  int failure = length < 0 ? errno : length == 0 ? ESRCH : 0;
  close(file);
  text[length > 0 ? length : 0] = '\0';
  return failure;
}

// The fields of stat are numbered as in proc_pid_stat(5).
static int read_vital(pid_t process, struct vital *vital) {
  char path[32], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", process);
  int failure = read_text(path, text, sizeof text);
  if (failure != 0) return failure;
  // The name in parentheses may itself hold parentheses and spaces: look from its end.
  char *next = strrchr(text, ')');
  if (next == NULL || strlen(next) < 4) return EPROTO;
  next += 4; // Field 4; 3 is the state, a letter.
  *vital = (struct vital){0};
  for (int field = 4; field <= 22; field++) {
    char *end;
    uint64_t value = strtoull(next, &end, 10); // Negative ones are among those passed over.
    if (end == next) return EPROTO;
    next = end;
    if (field == 4) vital->parent = (pid_t)value;
    if (field == 16 || field == 17) vital->waited_units += value;
    if (field == 20) vital->threads = value;
    if (field == 22) vital->started_at = value;
  }
  return 0;
}

// The process' own time: the sum of what the scheduler has accounted to its threads, living or
// not. stat has the same sum, but cut into two numbers and each to 10 ms.
static int read_clock(pid_t process, uint64_t *nanoseconds) {
  clockid_t identifier;
  struct timespec time;
  int failure = clock_getcpuclockid(process, &identifier);
  if (failure != 0) return failure;
  if (clock_gettime(identifier, &time) < 0) return errno == EINVAL ? ESRCH : errno;
  *nanoseconds = (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
  return 0;
}

static int read_memory(pid_t process, uint64_t *pages) {
  char path[32], text[256];
  snprintf(path, sizeof path, "/proc/%d/statm", process);
  int failure = read_text(path, text, sizeof text);
  if (failure != 0) return failure;
  unsigned long long resident, shared;
  char *next = text;
  strtoull(next, &next, 10); // The size of the address space.
  resident = strtoull(next, &next, 10);
  shared = strtoull(next, &next, 10);
  *pages = resident > shared ? resident - shared : 0;
  return 0;
}

static void find(struct walk *walk, pid_t process, pid_t parent) {
  if (walk->count == LIDO_TREE_PROCESSES_MAX) return;
  walk->found[walk->count++] = (struct process){.number = process, .parent = parent};
}

// Finds the children that one thread of `process` has forked.
static int find_children_of_thread(struct walk *walk, pid_t process, const char *thread) {
  char path[64], text[4096];
  snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", process, thread);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return errno;
  ssize_t length;
  pid_t number = 0; // A read may end within one.
  while ((length = read(file, text, sizeof text)) > 0) {
    for (ssize_t i = 0; i < length; i++) {
      if (text[i] >= '0' && text[i] <= '9') {
        number = number * 10 + (text[i] - '0');
      } else if (number != 0) {
        find(walk, number, process);
        number = 0;
      }
    }
  }
  int failure = length < 0 ? errno : 0;
  close(file);
  return failure;
}

// Goes through the threads of a process that has several.
static int find_children_of_threads(struct walk *walk, pid_t process) {
  char path[32];
  _Alignas(struct dirent64) char entries[4096];
  snprintf(path, sizeof path, "/proc/%d/task", process);
  int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return errno;
  ssize_t length;
  int failure = 0;
  // Not readdir(3), which allocates.
  while (failure == 0 && (length = getdents64(folder, entries, sizeof entries)) != 0) {
    if (length < 0) {
      failure = errno;
      break;
    }
    for (ssize_t at = 0; failure == 0 && at < length;) {
      const struct dirent64 *entry = (const struct dirent64 *)(entries + at);
      at += entry->d_reclen;
      if (entry->d_name[0] == '.') continue;
      failure = find_children_of_thread(walk, process, entry->d_name);
      if (!is_gone(failure)) continue;
      walk->lost = 1; // Another thread has its children now, perhaps one already passed.
      failure = 0;
    }
  }
  close(folder);
  return failure;
}

static int find_children(struct walk *walk, pid_t process, uint64_t threads) {
  if (walk->everyone != NULL) {
    for (size_t i = 0; i < walk->everyone_count; i++) {
      if (walk->everyone[i].parent == process) find(walk, walk->everyone[i].number, process);
    }
    return 0;
  }
  if (threads > 1) return find_children_of_threads(walk, process);
  char only[16];
  snprintf(only, sizeof only, "%d", process);
  return find_children_of_thread(walk, process, only);
}

// Adds what one process uses, and finds its children. ESRCH if it is not the one that was found.
static int take(struct walk *walk, struct process process, struct lido_tree_usage *usage) {
  struct vital vital;
  uint64_t nanoseconds = 0, pages = 0;
  pid_t root = walk->found[0].number;
  int failure = read_vital(process.number, &vital);
  if (failure != 0) return failure;
  // A stranger with the number of one that has ended since, or an orphan (then it is the root's).
  if (process.number != root && vital.parent != process.parent && vital.parent != root)
    return ESRCH;
  failure = read_clock(process.number, &nanoseconds);
  if (failure == 0) failure = read_memory(process.number, &pages);
  if (failure == 0) failure = find_children(walk, process.number, vital.threads);
  if (failure != 0) return failure;
  if (process.number == root) usage->started_at = vital.started_at;
  usage->cpu_nanoseconds += nanoseconds;
  usage->cpu_nanoseconds += vital.waited_units * (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK));
  usage->memory_bytes += pages * (uint64_t)sysconf(_SC_PAGESIZE);
  usage->process_count++;
  return 0;
}

static int walk_tree(struct walk *walk, pid_t root, struct lido_tree_usage *usage) {
  *usage = (struct lido_tree_usage){0};
  walk->count = 0;
  walk->lost = 0;
  find(walk, root, 0);
  for (size_t next = 0; next < walk->count; next++) {
    int failure = take(walk, walk->found[next], usage);
    if (is_gone(failure) && next > 0) {
      walk->lost = 1;
    } else if (failure != 0) {
      return is_gone(failure) ? ESRCH : failure;
    }
  }
  return 0;
}

// Lists every process and its parent. `everyone` is malloc'ed. Returns 0 or an error number.
static int list_everyone(struct process **everyone, size_t *count) {
  size_t capacity = 0;
  *everyone = NULL;
  *count = 0;
  DIR *folder = opendir("/proc");
  if (folder == NULL) return errno;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    struct vital vital;
    pid_t number = atoi(entry->d_name);
    int failure = read_vital(number, &vital);
    if (is_gone(failure)) continue;
    if (failure == 0 && *count == capacity) {
      capacity = capacity * 2 + 256;
      struct process *larger = realloc(*everyone, capacity * sizeof *larger);
      if (larger == NULL) failure = ENOMEM;
      if (larger != NULL) *everyone = larger;
    }
    if (failure != 0) {
      closedir(folder);
      free(*everyone);
      return failure;
    }
    (*everyone)[(*count)++] = (struct process){.number = number, .parent = vital.parent};
  }
  closedir(folder);
  return *count == 0 ? ESRCH : 0;
}

// Whether this kernel lists the children of a thread; asked once.
static int lists_children(void) {
  static _Atomic int answer; // 0: not asked yet.
  int known = atomic_load_explicit(&answer, memory_order_relaxed);
  if (known == 0) {
    known = access("/proc/thread-self/children", F_OK) == 0 ? 1 : 2;
    atomic_store_explicit(&answer, known, memory_order_relaxed);
  }
  return known == 1;
}

int lido_read_tree(pid_t root, enum lido_tree_method method, struct lido_tree_usage *usage) {
  struct walk walk; // 8 KiB, not to be cleared each time.
  if (method == LIDO_TREE_AUTOMATIC)
    method = lists_children() ? LIDO_TREE_CHILDREN : LIDO_TREE_SCAN;
  int failure = 0;
  for (int walks = 0; walks < WALKS_MAX; walks++) {
    struct process *everyone = NULL;
    walk.everyone_count = 0;
    if (method == LIDO_TREE_SCAN) failure = list_everyone(&everyone, &walk.everyone_count);
    if (failure != 0) return failure;
    walk.everyone = everyone;
    failure = walk_tree(&walk, root, usage);
    free(everyone);
    if (failure != 0 || !walk.lost) return failure;
  }
  return 0; // Processes come and go too fast: what was found is what there is to tell.
}
