#include "transfer.h"

#include <stddef.h>

static _Thread_local void *current = NULL;

void *lido_transfer_current(void) { return current; }

void lido_transfer_set(void *transfer) { current = transfer; }
