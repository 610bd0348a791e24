#ifndef LIDO_SYNC_THREAD_H
#define LIDO_SYNC_THREAD_H
#include <stdint.h>

// The only second thread of the service: it calls fdatasync(2), which may block for as long as the
// disk likes, so that the loop does not have to. It touches no memory but its own and opens no
// file.
//
// One request waits at most: a newer one replaces it, as a sync covers everything that was written
// before it began (group commit). After a failed sync nothing is synced any more: what fdatasync
// lost once, a second call reports as safe (the kernel marks the pages clean).
//
// All functions are for one thread of the caller; it must not fork between start and stop.

struct sync_thread;

// What the thread has done so far.
struct sync_report {
  uint64_t ticket;  // of the newest request whose sync has ended well; 0: none yet
  int error;        // errno of the sync that failed; 0: none has
  int is_busy;      // whether a request waits or runs
  uint64_t count;        // of the syncs that have ended well
  uint64_t nanoseconds;  // that those took together
};

// Starts the thread, with every signal blocked in it. NULL with errno set when it cannot.
struct sync_thread *sync_thread_start(void);

// An eventfd that is readable when a sync has ended since the last sync_thread_drain.
int sync_thread_descriptor(const struct sync_thread *thread);

// Asks for a sync of `file`; `ticket` comes back in the report. Never blocks for the disk. `file`
// must stay open until the report is not busy, or has a ticket at least this high.
void sync_thread_request(struct sync_thread *thread, int file, uint64_t ticket);

// Empties the eventfd and tells what was done. Never blocks for the disk.
struct sync_report sync_thread_drain(struct sync_thread *thread);

// Blocks until nothing waits or runs. The eventfd keeps what it holds, so that whoever waits for it
// still hears of the syncs that ended meanwhile.
struct sync_report sync_thread_settle(struct sync_thread *thread);

// Waits for what waits or runs, ends the thread, closes the eventfd and frees everything.
void sync_thread_stop(struct sync_thread *thread);
#endif
