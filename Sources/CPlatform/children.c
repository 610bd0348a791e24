#include "forkserver.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

void lido_become_subreaper(void) { prctl(PR_SET_CHILD_SUBREAPER, 1); }

// Adds the numbers in the file `path` to `children`. Returns the new count, or -1 if there is no
// such file.
static ssize_t read_children(const char *path, pid_t *children, size_t count, size_t capacity) {
  FILE *file = fopen(path, "re");
  if (file == NULL) return -1;
  int child;
  while (count < capacity && fscanf(file, "%d", &child) == 1) children[count++] = child;
  fclose(file);
  return (ssize_t)count;
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

static size_t scan_for_children(pid_t *children, size_t capacity) {
  size_t count = 0;
  pid_t self = getpid();
  DIR *folder = opendir("/proc");
  if (folder == NULL) return 0;
  for (struct dirent *entry; count < capacity && (entry = readdir(folder)) != NULL;) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    if (parent_of(entry->d_name) == self) children[count++] = atoi(entry->d_name);
  }
  closedir(folder);
  return count;
}

size_t lido_list_children(pid_t *children, size_t capacity) {
  size_t count = 0;
  DIR *folder = opendir("/proc/self/task");
  if (folder == NULL) return 0;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    if (entry->d_name[0] == '.') continue;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%.20s/children", entry->d_name);
    ssize_t now = read_children(path, children, count, capacity);
    if (now < 0) {
      closedir(folder);
      return scan_for_children(children, capacity);
    }
    count = (size_t)now;
  }
  closedir(folder);
  return count;
}
