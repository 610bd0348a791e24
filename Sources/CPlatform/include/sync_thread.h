#ifndef LIDO_SYNC_THREAD_H
#define LIDO_SYNC_THREAD_H
#include <stdint.h>

// The only second thread of the service: it calls fdatasync(2), which may block for as long as the
// disk likes, and unlink(2), which takes tens of milliseconds for a large file, so that the loop
// does not have to. It touches no memory but its own and opens no file.
//
// One request waits at most: a newer one replaces it, as a sync covers everything that was written
// before it began (group commit). After a failed sync nothing is synced any more: what fdatasync
// lost once, a second call reports as safe (the kernel marks the pages clean).
//
// All functions are for one thread of the caller; it must not fork between start and stop.

//
// Beside that one list of steps waits or runs at most; a request goes between two of its steps.

struct sync_thread;

enum sync_step_kind {
  SYNC_STEP_FILE,    // fdatasync(2) of `file`
  SYNC_STEP_FOLDER,  // fsync(2) of `file`, a folder
  SYNC_STEP_RENAME,  // rename(2) of `path` to `target`
  SYNC_STEP_REMOVE,  // unlink(2) of `path`; that there is none is no error
  SYNC_STEP_DISCARD,  // the same, and the list goes on when it fails
};

struct sync_step {
  enum sync_step_kind kind;
  int file;
  char *path;
  char *target;
};

// What the thread has done so far.
struct sync_report {
  uint64_t ticket;  // of the newest request whose sync has ended well; 0: none yet
  int error;        // errno of the sync that failed; 0: none has
  int is_busy;      // whether a request waits or runs
  uint64_t count;        // of the syncs that have ended well
  uint64_t nanoseconds;  // that those took together
  uint64_t lists;      // that have ended, well or not
  int list_error;      // errno of the rename or removal in the last of them that failed; 0: none
  int list_step;       // the number of that step, from 0; of a list that went on, of the first
};

// Starts the thread, with every signal blocked in it. NULL with errno set when it cannot.
struct sync_thread *sync_thread_start(void);

// An eventfd that is readable when a sync has ended since the last sync_thread_drain.
int sync_thread_descriptor(const struct sync_thread *thread);

// Asks for a sync of `file`; `ticket` comes back in the report. Never blocks for the disk. `file`
// must stay open until the report is not busy, or has a ticket at least this high.
void sync_thread_request(struct sync_thread *thread, int file, uint64_t ticket);

// Makes the calls of `steps` in this order and ends the list with the first that fails, unless it
// was to discard. A sync that fails is told as any; `ticket` comes back when the list has ended and
// none has. `steps` and its texts are copied. False with errno set when there is no memory; no
// other list may wait or run.
int sync_thread_perform(
    struct sync_thread *thread, const struct sync_step *steps, int count, uint64_t ticket);

// Empties the eventfd and tells what was done. Never blocks for the disk.
struct sync_report sync_thread_drain(struct sync_thread *thread);

// Blocks until nothing waits or runs. The eventfd keeps what it holds, so that whoever waits for it
// still hears of the syncs that ended meanwhile.
struct sync_report sync_thread_settle(struct sync_thread *thread);

// Waits for what waits or runs, ends the thread, closes the eventfd and frees everything.
void sync_thread_stop(struct sync_thread *thread);
#endif
