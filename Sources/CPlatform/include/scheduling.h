#ifndef LIDO_SCHEDULING_H
#define LIDO_SCHEDULING_H

// Makes this process a batch process, SCHED_BATCH of sched(7): when it wakes, it does not push the
// one that runs off its CPU, but takes an idle one or its turn. Its share of the CPU stays the
// same, and so does its niceness; what it starts inherits it. Needs no privilege. Where it is
// refused (by a seccomp filter), nothing changes.
void lido_schedule_as_batch(void);

// Names the calling thread, and with it a process of one thread, for ps(1) and the like: at most
// the first 15 bytes of name, PR_SET_NAME of prctl(2).
void lido_name_process(const char *name);

#endif
