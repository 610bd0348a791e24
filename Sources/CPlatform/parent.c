#include "parent.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "descriptors.h"
#include "forkserver.h"

static timer_t linger;
static int followed;
static volatile sig_atomic_t is_watched;

static int has_ended(int pidfd) {
  struct pollfd entry = {.fd = pidfd, .events = POLLIN};
  return poll(&entry, 1, 0) == 1;
}

static void begin_end(void) {
  const struct itimerspec time = {
      .it_value = {.tv_nsec = LIDO_LINGER_MILLISECONDS * 1000000L},
  };
  timer_settime(linger, 0, &time, NULL);
}

// In the watching process: holds nothing but the two, so that no pipe is kept open by it.
static _Noreturn void watch(int self) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  prctl(PR_SET_NAME, "lido-watch");
  // Neither is one of the targets: both are above the standard descriptors.
  dup2(followed, 0);
  dup2(self, 1);
  close_range(2, ~0U, 0);
  struct pollfd ends[2] = {{.fd = 0, .events = POLLIN}, {.fd = 1, .events = POLLIN}};
  while (poll(ends, 2, -1) < 0 && errno == EINTR) {
  }
  if (ends[1].revents == 0) pidfd_send_signal(1, SIGRTMAX, NULL, 0);
  _exit(0);
}

// Forks a process that sends SIGRTMAX when the parent has ended. Returns 0, or -1. Only system
// calls: it runs in a signal's function, and there may be threads. It is fork(2) but for the signal
// at its end, which is none: a wait(2) of the program for any child does not meet it.
static int start_watch(void) {
  int self = lido_above_standard(pidfd_open(getpid(), 0));
  if (self < 0) return -1;
  long process = syscall(SYS_clone, 0L, 0L, 0L, 0L, 0L);
  if (process == 0) watch(self);
  close(self);
  return process < 0 ? -1 : 0;
}

// Whoever has forked this process is gone, or the watch tells of the parent's end. Only
// async-signal-safe calls.
static void notice_end(int number) {
  (void)number;
  int failure = errno;
  if (has_ended(followed)) {
    begin_end();
  } else if (!is_watched) {
    is_watched = 1;
    if (start_watch() < 0) begin_end(); // Better early than never.
  }
  errno = failure;
}

void lido_follow_parent(int parent) {
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
  struct sigaction action = {.sa_handler = notice_end, .sa_flags = SA_RESTART};
  followed = parent;
  is_watched = 0;
  int has_timer = timer_create(CLOCK_MONOTONIC, &event, &linger) == 0;
  if (has_timer) sigaction(SIGRTMAX, &action, NULL);
  prctl(PR_SET_PDEATHSIG, has_timer ? SIGRTMAX : SIGKILL);
  // If the fork server is gone already its signal waits here; without a function for it, it kills.
  sigset_t noticed;
  sigemptyset(&noticed);
  sigaddset(&noticed, SIGRTMAX);
  sigprocmask(SIG_UNBLOCK, &noticed, NULL);
  if (!has_ended(parent)) return;
  // A signal that was to come before will never come.
  if (!has_timer) raise(SIGKILL);
  begin_end();
}
