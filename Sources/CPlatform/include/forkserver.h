#ifndef LIDO_FORKSERVER_H
#define LIDO_FORKSERVER_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "descriptors.h"

// The fork server: a process with one thread that starts every other process of the service.
// Messages travel over an inherited SOCK_SEQPACKET pair, so there is no address to protect, and
// both ends are the same build, so the messages are plain structs.

// Longest request: argv and environment of 128 KiB each and something to spare, yet below the
// usual net.core.wmem_max of 208 KiB doubled.
enum { LIDO_REQUEST_BYTES_MAX = 320 * 1024 };

// How long a child that lingers, and what it leaves behind, may go on when the client is gone: time
// to notice and to end by itself. All others are killed at once.
enum { LIDO_LINGER_MILLISECONDS = 300 };

enum lido_request_kind {
  LIDO_REQUEST_FORK = 1,   // The child returns from the loop into Swift with `entry`.
  LIDO_REQUEST_EXEC = 2,   // The child executes a program.
  LIDO_REQUEST_SIGNAL = 3, // Signals the process group of a child that has not been reaped.
  LIDO_REQUEST_PING = 4,   // Is answered: the requests before it were taken up.
  // Keeps the one descriptor that is attached for as long as it lives, in the place of the one
  // before; so does each child that it forks from then on, but nobody whom that starts or forks.
  // A lock (flock(2)) that is handed over so is held until they are all gone. Is not answered.
  LIDO_REQUEST_HOLD = 5,
};

// One request. After the struct come, in this order and without gaps:
// `limit_count` struct lido_limit, `descriptor_count` int32_t target numbers (the descriptors
// themselves are attached), `text_count` NUL-terminated strings and `payload_length` bytes.
// The strings: [0] working folder ("" leaves it), [1] program (a path, or a name to be found by
// PATH of the environment given), then `argument_count` arguments, then the environment.
// A fork has no strings; an exec has no payload.
struct lido_request {
  uint64_t token; // Chosen by the client, unique for ever; names the child in every message.
  uint32_t kind;
  int32_t signal_number;
  uint32_t entry;
  int32_t nice;              // Added to the niceness; 0 leaves it.
  int32_t oom_score_adjust;  // -1000 to 1000; 0 leaves it.
  uint32_t limit_count;
  uint32_t descriptor_count;
  uint32_t text_count;
  uint32_t argument_count;
  uint32_t payload_length;
  uint32_t lingers;  // See LIDO_LINGER_MILLISECONDS.
  // Survives a fork server that is killed, which all others do not: it begins with SIGRTMAX blocked
  // and is sent that by the kernel, and is to call lido_follow_parent.
  uint32_t survives;
  // Is scheduled as SCHED_BATCH (sched(7)), unless the policy is one that somebody chose.
  uint32_t is_batch;
  uint32_t reserved;
};

// A resource limit (setrlimit(2)): units as the resource has them, UINT64_MAX for none.
struct lido_limit {
  uint64_t soft;
  uint64_t hard;
  int32_t resource;
  int32_t reserved;
};

enum lido_reply_kind {
  LIDO_REPLY_STARTED = 1,      // A pidfd is attached. Sent once the program runs.
  LIDO_REPLY_START_FAILED = 2, // The only message about that token.
  LIDO_REPLY_EXITED = 3,       // The last message about that token.
  LIDO_REPLY_PONG = 4,         // The answer to a ping; about no token.
};

// What was being done when a start failed.
enum lido_stage {
  LIDO_STAGE_REQUEST = 1,
  LIDO_STAGE_FORK = 2,
  LIDO_STAGE_PROCESS_GROUP = 3,
  LIDO_STAGE_LIMITS = 4,
  LIDO_STAGE_PRIORITY = 5,
  LIDO_STAGE_DESCRIPTORS = 6,
  LIDO_STAGE_FOLDER = 7,
  LIDO_STAGE_EXEC = 8,
  // 9 is the client's own: the fork server was lost.
  LIDO_STAGE_WATCH = 10,
};

struct lido_reply {
  uint64_t token;
  uint64_t cpu_microseconds;  // User and system time of the child and what it waited for.
  uint64_t resident_kilobytes_max;
  uint32_t kind;
  int32_t process;
  int32_t wait_status;  // As wait(2) gives it.
  int32_t error_number;
  uint32_t stage;
  uint32_t reserved;
};

// What a forked child is to do.
struct lido_entry {
  uint32_t code;
  uint32_t payload_length;
  uint8_t *payload; // malloc'ed; NULL when empty.
  uint32_t descriptor_count;
  int32_t targets[LIDO_DESCRIPTORS_MAX]; // The numbers that were asked for, and
  int32_t numbers[LIDO_DESCRIPTORS_MAX]; // those that the descriptors have.
};

// Forks what is to be the fork server. In the parent: returns 1 with the process id and the
// parent's end of the socket (non-blocking, close-on-exec). In the child: returns 0 with the
// server's end; every signal is blocked there, and it is to call lido_forkserver_run. On failure:
// -1 with errno.
// The calling process must have one thread. Afterwards it holds nothing of the server's.
int lido_forkserver_fork(int *process, int *socket);

// Is the fork server, over `socket`, in this process. Returns (0) only in a child it has forked;
// the server itself ends with _exit when the socket ends, after everything it started is dead.
// What else this process has open is closed, and the descriptors that a child is given have the
// numbers that were asked for; unless it `bequeaths`: then each child that it forks has all that
// this process has open, under the same numbers, and what it is given beside 0, 1 and 2 comes under
// numbers that were free, see `entry`.
// The calling process must have one thread.
int lido_forkserver_run(int socket, int bequeaths, struct lido_entry *entry);

// Starts a new fork server by executing `program` with `arguments` (NULL at their end) and with
// `variable` ("NAME=VALUE", which tells it that its socket is descriptor 3) added to the
// environment. For a process that may have threads by now. Returns 0 with both results as
// lido_forkserver_fork gives them, or an error number.
int lido_forkserver_spawn(const char *program, char *const *arguments, const char *variable,
                          int *process, int *socket);

// Has orphans below the calling process reparented to it (prctl is variadic, so not for Swift).
void lido_become_subreaper(void);

// Process ids. The list is malloc'ed, NULL before the first; the owner's to free.
struct lido_processes {
  pid_t *list;
  size_t count;
  size_t capacity;
};

// Makes `children` those of the calling process: from /proc/self/task/*/children, or by a scan of
// /proc where the kernel lacks that file. Zombies are included. Those for which there is no memory
// are left out.
void lido_list_children(struct lido_processes *children);

// Appends one. Returns 0, or -1 if there is no memory.
int lido_append_process(struct lido_processes *processes, pid_t process);

// Sorts them, for lido_has_process.
void lido_sort_processes(struct lido_processes *processes);

// Whether `process` is one of them, which are sorted.
int lido_has_process(const struct lido_processes *processes, pid_t process);

#endif
