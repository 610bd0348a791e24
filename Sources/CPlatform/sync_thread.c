#include "sync_thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct sync_thread {
  pthread_t thread;
  int event;
  // The lock is held for a few instructions only, never during a sync.
  pthread_mutex_t lock;
  pthread_cond_t changed;  // signalled when a request comes, when one ends, and at the stop
  int file;                // of the request that waits; -1: none
  uint64_t ticket;         // of the request that waits
  struct sync_step *steps;  // of the list that waits or runs; NULL: none
  int step_count;
  int next_step;
  int discard_error;  // of the first step of the list that could not discard; 0: all could
  int discard_step;   // the number of that step
  uint64_t list_ticket;
  int is_running;
  int is_stopping;
  struct sync_report report;
};

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static int sync_file(int file) {
  int result;
  do {
    result = fdatasync(file);
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

static int sync_folder(int folder) {
  int result;
  do {
    result = fsync(folder);
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

// Call with the lock held.
static void note_sync(struct sync_thread *self, int error, uint64_t took) {
  self->report.error = error;
  if (error != 0) return;
  self->report.count++;
  self->report.nanoseconds += took;
}

static void free_steps(struct sync_step *steps, int count) {
  for (int i = 0; i < count; i++) {
    free(steps[i].path);
    free(steps[i].target);
  }
  free(steps);
}

// Call with the lock held.
static void end_list(struct sync_thread *self, int error) {
  self->report.lists++;
  self->report.list_error = error != 0 ? error : self->discard_error;
  self->report.list_step = error != 0 ? self->next_step : self->discard_step;
  self->discard_error = 0;
  if (self->report.error == 0 && self->list_ticket > self->report.ticket)
    self->report.ticket = self->list_ticket;
  free_steps(self->steps, self->step_count);
  self->steps = NULL;
}

// Call with the lock held, which is given back meanwhile.
static void run_request(struct sync_thread *self) {
  int file = self->file;
  uint64_t ticket = self->ticket;
  self->file = -1;
  int error = self->report.error;
  pthread_mutex_unlock(&self->lock);
  uint64_t began = now();
  if (error == 0) error = sync_file(file);
  uint64_t took = now() - began;
  pthread_mutex_lock(&self->lock);
  note_sync(self, error, took);
  if (error == 0 && ticket > self->report.ticket) self->report.ticket = ticket;
}

// Call with the lock held, which is given back meanwhile.
static void run_step(struct sync_thread *self) {
  struct sync_step step = self->steps[self->next_step];
  int is_sync = step.kind == SYNC_STEP_FILE || step.kind == SYNC_STEP_FOLDER;
  int error = self->report.error;
  if (error != 0) {
    end_list(self, 0);
    return;
  }
  pthread_mutex_unlock(&self->lock);
  uint64_t began = now();
  switch (step.kind) {
    case SYNC_STEP_FILE: error = sync_file(step.file); break;
    case SYNC_STEP_FOLDER: error = sync_folder(step.file); break;
    case SYNC_STEP_RENAME: error = rename(step.path, step.target) == 0 ? 0 : errno; break;
    case SYNC_STEP_REMOVE:
    case SYNC_STEP_DISCARD:
      error = unlink(step.path) == 0 || errno == ENOENT ? 0 : errno;
      break;
  }
  uint64_t took = now() - began;
  pthread_mutex_lock(&self->lock);
  if (is_sync) note_sync(self, error, took);
  if (step.kind == SYNC_STEP_DISCARD && error != 0) {
    if (self->discard_error == 0) self->discard_step = self->next_step;
    if (self->discard_error == 0) self->discard_error = error;
    error = 0;
  }
  if (error != 0) {
    end_list(self, is_sync ? 0 : error);
  } else if (++self->next_step == self->step_count) {
    end_list(self, 0);
  }
}

// Takes requests until the stop; ends with the last request and the last list done.
static void *run(void *argument) {
  struct sync_thread *self = argument;
  pthread_mutex_lock(&self->lock);
  for (;;) {
    while (self->file < 0 && self->steps == NULL && !self->is_stopping)
      pthread_cond_wait(&self->changed, &self->lock);
    if (self->file < 0 && self->steps == NULL) break;
    self->is_running = 1;
    // In turn, so that requests without end do not hold a list up.
    if (self->file >= 0) run_request(self);
    if (self->steps != NULL) run_step(self);
    self->is_running = 0;
    pthread_cond_broadcast(&self->changed);
    uint64_t one = 1;
    // It cannot fail: the counter is emptied long before 2^64 - 1.
    while (write(self->event, &one, sizeof one) < 0 && errno == EINTR) {
    }
  }
  pthread_mutex_unlock(&self->lock);
  return NULL;
}

static int start_blocked(struct sync_thread *self) {
  pthread_attr_t attributes;
  int error = pthread_attr_init(&attributes);
  if (error != 0) return error;
  // Its deepest call is fdatasync; the default of 8 MiB would only be address space, but the
  // service counts its memory.
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  error = pthread_create(&self->thread, &attributes, run, self);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return error;
}

struct sync_thread *sync_thread_start(void) {
  struct sync_thread *self = calloc(1, sizeof *self);
  if (self == NULL) return NULL;
  self->file = -1;
  self->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (self->event < 0) {
    free(self);
    return NULL;
  }
  pthread_mutex_init(&self->lock, NULL);
  pthread_cond_init(&self->changed, NULL);
  int error = start_blocked(self);
  if (error != 0) {
    close(self->event);
    free(self);
    errno = error;
    return NULL;
  }
  return self;
}

int sync_thread_descriptor(const struct sync_thread *self) { return self->event; }

void sync_thread_request(struct sync_thread *self, int file, uint64_t ticket) {
  pthread_mutex_lock(&self->lock);
  self->file = file;
  self->ticket = ticket;
  pthread_cond_broadcast(&self->changed);
  pthread_mutex_unlock(&self->lock);
}

static char *copy(const char *text, int *is_short) {
  if (text == NULL) return NULL;
  char *copied = strdup(text);
  if (copied == NULL) *is_short = 1;
  return copied;
}

int sync_thread_perform(
    struct sync_thread *self, const struct sync_step *steps, int count, uint64_t ticket) {
  struct sync_step *copies = calloc((size_t)count, sizeof *copies);
  if (copies == NULL) return 0;
  int is_short = 0;
  for (int i = 0; i < count; i++) {
    copies[i].kind = steps[i].kind;
    copies[i].file = steps[i].file;
    copies[i].path = copy(steps[i].path, &is_short);
    copies[i].target = copy(steps[i].target, &is_short);
  }
  if (is_short) {
    free_steps(copies, count);
    errno = ENOMEM;
    return 0;
  }
  pthread_mutex_lock(&self->lock);
  self->steps = copies;
  self->step_count = count;
  self->next_step = 0;
  self->list_ticket = ticket;
  pthread_cond_broadcast(&self->changed);
  pthread_mutex_unlock(&self->lock);
  return 1;
}

// Call with the lock held.
static struct sync_report report_locked(struct sync_thread *self) {
  struct sync_report report = self->report;
  report.is_busy = self->file >= 0 || self->steps != NULL || self->is_running;
  return report;
}

struct sync_report sync_thread_drain(struct sync_thread *self) {
  uint64_t count;
  // EAGAIN: nothing has ended since. The event is emptied before the report is read, so an end in
  // between is told twice and never missed.
  while (read(self->event, &count, sizeof count) < 0 && errno == EINTR) {
  }
  pthread_mutex_lock(&self->lock);
  struct sync_report report = report_locked(self);
  pthread_mutex_unlock(&self->lock);
  return report;
}

struct sync_report sync_thread_settle(struct sync_thread *self) {
  pthread_mutex_lock(&self->lock);
  while (self->file >= 0 || self->steps != NULL || self->is_running)
    pthread_cond_wait(&self->changed, &self->lock);
  struct sync_report report = report_locked(self);
  pthread_mutex_unlock(&self->lock);
  return report;
}

void sync_thread_stop(struct sync_thread *self) {
  pthread_mutex_lock(&self->lock);
  self->is_stopping = 1;
  pthread_cond_broadcast(&self->changed);
  pthread_mutex_unlock(&self->lock);
  pthread_join(self->thread, NULL);
  pthread_cond_destroy(&self->changed);
  pthread_mutex_destroy(&self->lock);
  close(self->event);
  free(self);
}
