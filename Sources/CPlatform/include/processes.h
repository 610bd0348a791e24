#ifndef LIDO_PROCESSES_H
#define LIDO_PROCESSES_H
#include <stdint.h>
#include <sys/types.h>

// Forks the calling process, which must have one thread. In the parent: returns 1 with the child's
// process id and a pidfd (close-on-exec). In the child, which leads a process group of its own and
// has every signal at its default and reads /dev/null: returns 0. On failure: -1 with errno.
// `parent` is a pidfd of the calling process, which the child follows; see lido_follow_parent.
int lido_fork_child(int parent, pid_t *process, int *pidfd);

// Reaps a child of the calling process that has ended, after killing what is left of its group.
// Returns 1 with its status as wait(2) gives it; 0 if it has not ended; -1 with errno (ECHILD:
// somebody else has reaped it).
int lido_reap_child(pid_t process, int pidfd, int *status);

// In a process that was forked from the program itself: when it calls exit, after what it has
// registered with atexit, has `last` called, what is buffered written and the process ended. What
// its parent had registered is left out.
void lido_end_before_parents(void (*last)(void));

// A pidfd (close-on-exec) of the calling process; -1 with errno.
int lido_open_self(void);

// Sends a signal to the process behind a pidfd. Returns 0, or -1 with errno (ESRCH: it has ended).
int lido_signal_process(int pidfd, int number);

#endif
