#include "processes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "descriptors.h"
#include "parent.h"

int lido_fork_child(int parent, pid_t *process, int *pidfd) {
  fflush(NULL); // What is buffered would be written twice.
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  pid_t forked = fork();
  if (forked == 0) {
    setpgid(0, 0);
    // A child does not read what is typed for its parent.
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null > 0) {
      dup2(null, 0);
      close(null);
    }
    lido_reset_signals(0);
    lido_follow_parent(parent);
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

int lido_open_self(void) { return lido_above_standard(pidfd_open(getpid(), 0)); }

int lido_signal_process(int pidfd, int number) {
  return pidfd_send_signal(pidfd, number, NULL, 0);
}
