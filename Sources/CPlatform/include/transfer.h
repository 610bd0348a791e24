#ifndef LIDO_TRANSFER_H
#define LIDO_TRANSFER_H

// One pointer for each thread: what the value that this thread encodes or decodes at the moment
// carries along. NULL until it is set.
void *lido_transfer_current(void);
void lido_transfer_set(void *transfer);

#endif
