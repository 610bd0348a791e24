#include "processes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "forkserver.h"

static timer_t linger;

// The parent is gone. Only async-signal-safe calls.
static void begin_end(int number) {
  (void)number;
  const struct itimerspec time = {
      .it_value = {.tv_nsec = LIDO_LINGER_MILLISECONDS * 1000000L},
  };
  timer_settime(linger, 0, &time, NULL);
}

// In the child: has it end some time after its parent.
static void follow_parent(pid_t parent) {
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
  struct sigaction action = {.sa_handler = begin_end, .sa_flags = SA_RESTART};
  if (timer_create(CLOCK_MONOTONIC, &event, &linger) < 0) return;
  sigaction(SIGRTMAX, &action, NULL);
  prctl(PR_SET_PDEATHSIG, SIGRTMAX);
  if (getppid() != parent) begin_end(0); // The signal will never come.
}

int lido_fork_child(pid_t *process, int *pidfd) {
  fflush(NULL); // What is buffered would be written twice.
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  pid_t parent = getpid();
  pid_t forked = fork();
  if (forked == 0) {
    setpgid(0, 0);
    // A child does not read what is typed for its parent.
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null > 0) {
      dup2(null, 0);
      close(null);
    }
    lido_reset_signals();
    follow_parent(parent);
    return 0;
  }
  int failure = errno;
  sigprocmask(SIG_SETMASK, &before, NULL);
  errno = failure;
  if (forked < 0) return -1;
  setpgid(forked, forked);
  *process = forked;
  *pidfd = pidfd_open(forked, 0);
  if (*pidfd >= 0) return 1;
  // Without it nobody could wait for the child with a bound.
  failure = errno;
  kill(forked, SIGKILL);
  while (waitpid(forked, NULL, 0) < 0 && errno == EINTR) {
  }
  errno = failure;
  return -1;
}

int lido_reap_child(pid_t process, int pidfd, int *status) {
  siginfo_t seen = {0};
  // Look first: while the zombie holds its number, its group can mean nobody else's.
  while (waitid(P_PIDFD, (id_t)pidfd, &seen, WEXITED | WNOHANG | WNOWAIT) < 0) {
    if (errno != EINTR) return -1;
  }
  if (seen.si_pid == 0) return 0;
  kill(-process, SIGKILL);
  pid_t reaped;
  while ((reaped = waitpid(process, status, 0)) < 0 && errno == EINTR) {
  }
  return reaped == process ? 1 : -1;
}

static void (*last_call)(void);

static void end_here(int code, void *nothing) {
  (void)nothing;
  last_call();
  fflush(NULL);
  _exit(code);
}

void lido_end_before_parents(void (*last)(void)) {
  last_call = last;
  on_exit(end_here, NULL); // It fails for want of memory only; then the parent's run as well.
}

int lido_open_self(void) { return pidfd_open(getpid(), 0); }

int lido_signal_process(int pidfd, int number) {
  return pidfd_send_signal(pidfd, number, NULL, 0);
}
