#ifndef LIDO_PROCESS_NAME_H
#define LIDO_PROCESS_NAME_H

// Names the calling thread, and with it a process of one thread, for ps(1) and the like: at most
// the first 15 bytes of name, PR_SET_NAME of prctl(2).
void lido_name_process(const char *name);

#endif
