#include "scheduling.h"

#include <sched.h>
#include <sys/prctl.h>

void lido_schedule_as_batch(void) {
  struct sched_param param = {.sched_priority = 0};
  sched_setscheduler(0, SCHED_BATCH, &param);
}

void lido_name_process(const char *name) {
  prctl(PR_SET_NAME, name);
}
