#include "strays.h"

#include <signal.h>
#include <stdlib.h>

static struct lido_stray *find(struct lido_strays *strays, pid_t process) {
  for (size_t i = 0; i < strays->count; i++) {
    if (strays->list[i].process == process) return &strays->list[i];
  }
  return NULL;
}

static int compare(const void *left, const void *right) {
  pid_t first = ((const struct lido_stray *)left)->process;
  pid_t second = ((const struct lido_stray *)right)->process;
  return (first > second) - (first < second);
}

static int reserve(struct lido_strays *strays) {
  if (strays->count < strays->capacity) return 0;
  size_t capacity = strays->capacity * 2 + 64;
  struct lido_stray *list = realloc(strays->list, capacity * sizeof *list);
  if (list == NULL) return -1;
  strays->list = list;
  strays->capacity = capacity;
  return 0;
}

void lido_strays_found(struct lido_strays *strays, const struct lido_processes *found,
                       uint64_t due) {
  size_t known = strays->count;
  if (known > 1) qsort(strays->list, known, sizeof *strays->list, compare);
  for (size_t i = 0; i < found->count; i++) {
    struct lido_stray stray = {.process = found->list[i], .due = due};
    if (known > 0 && bsearch(&stray, strays->list, known, sizeof stray, compare) != NULL) continue;
    if (reserve(strays) < 0) return;
    strays->list[strays->count++] = stray;
  }
}

uint64_t lido_strays_reaped(struct lido_strays *strays, pid_t process) {
  struct lido_stray *stray = find(strays, process);
  if (stray == NULL) return 0;
  uint64_t due = stray->due;
  *stray = strays->list[--strays->count];
  return due;
}

uint64_t lido_strays_kill_due(const struct lido_strays *strays, uint64_t now) {
  uint64_t next = 0;
  for (size_t i = 0; i < strays->count; i++) {
    const struct lido_stray *stray = &strays->list[i];
    if (stray->due <= now) {
      kill(stray->process, SIGKILL);
    } else if (next == 0 || stray->due < next) {
      next = stray->due;
    }
  }
  return next;
}
