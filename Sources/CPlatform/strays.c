#include "strays.h"

#include <signal.h>

static struct lido_stray *find(struct lido_strays *strays, pid_t process) {
  for (size_t i = 0; i < strays->count; i++) {
    if (strays->list[i].process == process) return &strays->list[i];
  }
  return NULL;
}

void lido_strays_found(struct lido_strays *strays, const pid_t *found, size_t count, uint64_t due) {
  for (size_t i = 0; i < count && strays->count < LIDO_STRAYS_MAX; i++) {
    if (find(strays, found[i]) != NULL) continue;
    strays->list[strays->count++] = (struct lido_stray){.process = found[i], .due = due};
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
