#ifndef LIDO_CPU_COUNT_H
#define LIDO_CPU_COUNT_H

// The number of processors in this process's affinity mask, sched_getaffinity(2); at least 1.
int lido_cpu_count(void);

#endif
