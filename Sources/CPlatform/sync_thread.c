#include "sync_thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
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

// Takes requests until the stop; ends with the last request done.
static void *run(void *argument) {
  struct sync_thread *self = argument;
  pthread_mutex_lock(&self->lock);
  for (;;) {
    while (self->file < 0 && !self->is_stopping) pthread_cond_wait(&self->changed, &self->lock);
    if (self->file < 0) break;
    int file = self->file;
    uint64_t ticket = self->ticket;
    self->file = -1;
    self->is_running = 1;
    int error = self->report.error;
    pthread_mutex_unlock(&self->lock);

    uint64_t began = now();
    if (error == 0) error = sync_file(file);
    uint64_t took = now() - began;

    pthread_mutex_lock(&self->lock);
    self->is_running = 0;
    self->report.error = error;
    if (error == 0) {
      self->report.ticket = ticket;
      self->report.count++;
      self->report.nanoseconds += took;
    }
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

// Call with the lock held.
static struct sync_report report_locked(struct sync_thread *self) {
  struct sync_report report = self->report;
  report.is_busy = self->file >= 0 || self->is_running;
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
  while (self->file >= 0 || self->is_running) pthread_cond_wait(&self->changed, &self->lock);
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
