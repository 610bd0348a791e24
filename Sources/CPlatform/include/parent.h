#ifndef LIDO_PARENT_H
#define LIDO_PARENT_H

// How a child ends some time after its parent, if it does not end by itself. The parent is who has
// asked for it, and need not be whom getppid(2) tells: that may be the fork server.
//
// The kernel tells by SIGRTMAX (PR_SET_PDEATHSIG), which the child must leave alone, that whoever
// has forked it is gone. If that is the parent, its time runs from then on. If it is the fork
// server and the parent lives, the child has a process of its own wait for the parent's end: one
// that no wait(2) without __WALL tells of, and that ends with the child.

// In the child, while it has one thread: has it killed LIDO_LINGER_MILLISECONDS after the end of
// the process behind the pidfd `parent`, which stays the caller's and is to stay open. SIGRTMAX may
// be blocked, and is unblocked here. Where the system has no timer left (RLIMIT_SIGPENDING) the
// child is killed as soon as whoever has forked it is gone.
void lido_follow_parent(int parent);

#endif
