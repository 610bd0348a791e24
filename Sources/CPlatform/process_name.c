#include "process_name.h"

#include <sys/prctl.h>

void lido_name_process(const char *name) { prctl(PR_SET_NAME, name); }
