#include "forkserver.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

void lido_become_subreaper(void) { prctl(PR_SET_CHILD_SUBREAPER, 1); }

int lido_append_process(struct lido_processes *processes, pid_t process) {
  if (processes->count == processes->capacity) {
    size_t capacity = processes->capacity * 2 + 64;
    pid_t *list = realloc(processes->list, capacity * sizeof *list);
    if (list == NULL) return -1;
    processes->list = list;
    processes->capacity = capacity;
  }
  processes->list[processes->count++] = process;
  return 0;
}

static int compare(const void *left, const void *right) {
  pid_t first = *(const pid_t *)left, second = *(const pid_t *)right;
  return (first > second) - (first < second);
}

void lido_sort_processes(struct lido_processes *processes) {
  if (processes->count > 1)
    qsort(processes->list, processes->count, sizeof *processes->list, compare);
}

int lido_has_process(const struct lido_processes *processes, pid_t process) {
  return processes->count > 0 && bsearch(&process, processes->list, processes->count,
                                         sizeof process, compare) != NULL;
}

// Adds the numbers in the file `path` to `children`. Returns 0, or -1 if there is no such file.
static int read_children(const char *path, struct lido_processes *children) {
  FILE *file = fopen(path, "re");
  if (file == NULL) return -1;
  int child;
  while (fscanf(file, "%d", &child) == 1 && lido_append_process(children, child) == 0) {
  }
  fclose(file);
  return 0;
}

// The parent of `process`, or -1 if that process is gone.
static pid_t parent_of(const char *process) {
  char path[64];
  char line[512];
  snprintf(path, sizeof path, "/proc/%.20s/stat", process);
  FILE *file = fopen(path, "re");
  if (file == NULL) return -1;
  size_t length = fread(line, 1, sizeof line - 1, file);
  fclose(file);
  line[length] = '\0';
  // The name in parentheses may itself hold parentheses and spaces: look from its end.
  const char *after_name = strrchr(line, ')');
  int parent;
  return after_name != NULL && sscanf(after_name + 1, " %*c %d", &parent) == 1 ? parent : -1;
}

static void scan_for_children(struct lido_processes *children) {
  pid_t self = getpid();
  DIR *folder = opendir("/proc");
  if (folder == NULL) return;
  children->count = 0;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    if (parent_of(entry->d_name) != self) continue;
    if (lido_append_process(children, atoi(entry->d_name)) < 0) break;
  }
  closedir(folder);
}

void lido_list_children(struct lido_processes *children) {
  children->count = 0;
  DIR *folder = opendir("/proc/self/task");
  if (folder == NULL) return;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    if (entry->d_name[0] == '.') continue;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%.20s/children", entry->d_name);
    if (read_children(path, children) == 0) continue;
    closedir(folder);
    scan_for_children(children);
    return;
  }
  closedir(folder);
}
