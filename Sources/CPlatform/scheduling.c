#include "scheduling.h"

#include <sched.h>

void lido_schedule_as_batch(void) {
  struct sched_param param = {.sched_priority = 0};
  sched_setscheduler(0, SCHED_BATCH, &param);
}
