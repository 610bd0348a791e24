#include "cpu_count.h"

#include <sched.h>

int lido_cpu_count(void) {
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return 1;
  int count = CPU_COUNT(&mask);
  return count > 0 ? count : 1;
}
