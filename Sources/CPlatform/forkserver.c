#include "forkserver.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "descriptors.h"
#include "strays.h"

// A child that has not been reaped. Its process id leads a group of the same number, and neither
// can be given to anybody else before we reap it: that is what makes every kill below safe.
struct child {
  uint64_t token;
  pid_t process;
  int pidfd; // Until it is sent; then -1.
  int setup; // Read end of the setup pipe while the program does not run yet; then -1.
  int failed; // A start failure has been reported: the exit is not news.
  int lingers; // What it leaves behind does as well.
};

// A reply that the socket did not take yet.
struct waiting_reply {
  struct waiting_reply *next;
  struct lido_reply reply;
  int pidfd; // -1: none.
};

struct server {
  int socket;
  int signals; // signalfd for SIGCHLD.
  int events;  // epoll.
  pid_t self;
  int bequeaths; // What this process had open is left to the forks.
  struct child *children;
  size_t child_count;
  size_t child_capacity;
  struct waiting_reply *first_waiting;
  struct waiting_reply *last_waiting;
  int held;  // See LIDO_REQUEST_HOLD; -1: nothing.
  int ended; // The client is gone.
  uint64_t end; // When the last stray has to be gone once the client is; 0 before.
};

// How long a stray may go on: one that lingers is a fork server of its own, perhaps, and below that
// processes that are to learn of its end before their own. It takes as long itself.
enum { STRAY_MILLISECONDS = LIDO_LINGER_MILLISECONDS * 3 / 2 };

// There is one fork server in a process.
static struct lido_strays strays;

// The received message; static because it is too large for a frame, aligned for its structs.
static uint64_t message[LIDO_REQUEST_BYTES_MAX / sizeof(uint64_t)];

// Something without which the loop cannot go on: end, and let the client start another one.
static _Noreturn void give_up(const char *what) {
  fprintf(stderr, "lido: fork server: %s: %s\n", what, strerror(errno));
  _exit(70);
}

static uint64_t now_milliseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

// Returns 0, or -1 with errno: adding takes memory, and of the user's watches one.
static int try_watch(struct server *server, int operation, int descriptor, uint32_t interest) {
  struct epoll_event event = {.events = interest, .data.fd = descriptor};
  return epoll_ctl(server->events, operation, descriptor, &event);
}

static void watch(struct server *server, int operation, int descriptor, uint32_t interest) {
  if (try_watch(server, operation, descriptor, interest) < 0) give_up("epoll_ctl");
}

// Sends what waits, oldest first, and leaves the rest for when the socket has room.
static void send_waiting(struct server *server) {
  while (server->first_waiting != NULL) {
    struct waiting_reply *waiting = server->first_waiting;
    size_t descriptors = waiting->pidfd >= 0 ? 1 : 0;
    if (lido_send_message(server->socket, &waiting->reply, sizeof waiting->reply, &waiting->pidfd,
                          descriptors) < 0) {
      // ETOOMANYREFS: the client has not taken the descriptors that are under way.
      int full = errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS || errno == ENOMEM;
      if (!full) server->ended = 1;
      watch(server, EPOLL_CTL_MOD, server->socket, full ? EPOLLIN | EPOLLOUT : EPOLLIN);
      return;
    }
    if (waiting->pidfd >= 0) close(waiting->pidfd);
    server->first_waiting = waiting->next;
    free(waiting);
  }
  server->last_waiting = NULL;
  watch(server, EPOLL_CTL_MOD, server->socket, EPOLLIN);
}

// Sends a reply, or keeps it if the socket is full: a slow client loses nothing. Takes `pidfd`.
static void reply(struct server *server, const struct lido_reply *reply, int pidfd) {
  if (server->ended) {
    if (pidfd >= 0) close(pidfd);
    return;
  }
  if (server->first_waiting == NULL &&
      lido_send_message(server->socket, reply, sizeof *reply, &pidfd, pidfd >= 0 ? 1 : 0) == 0) {
    if (pidfd >= 0) close(pidfd);
    return;
  }
  struct waiting_reply *waiting = malloc(sizeof *waiting);
  if (waiting == NULL) give_up("no memory for a reply");
  *waiting = (struct waiting_reply){.reply = *reply, .pidfd = pidfd};
  if (server->last_waiting != NULL) {
    server->last_waiting->next = waiting;
  } else {
    server->first_waiting = waiting;
  }
  server->last_waiting = waiting;
  send_waiting(server);
}

static void reply_start_failed(struct server *server, uint64_t token, int stage, int failure) {
  struct lido_reply failed = {
      .token = token, .kind = LIDO_REPLY_START_FAILED, .error_number = failure, .stage = stage};
  reply(server, &failed, -1);
}

// The child `process`, or NULL: a stray, or none of ours.
static struct child *find_process(struct server *server, pid_t process) {
  for (size_t i = 0; i < server->child_count; i++) {
    if (server->children[i].process == process) return &server->children[i];
  }
  return NULL;
}

// Makes `found` the children that we did not start: each was orphaned by one of ours that has
// ended, and nobody waits for it. What it leaves behind is reparented to us when it dies.
static void find_strays(struct server *server, struct lido_processes *found) {
  static struct lido_processes ours; // Sorted: there may be tens of thousands.
  ours.count = 0;
  found->count = 0;
  for (size_t i = 0; i < server->child_count; i++) {
    // Without the memory to tell them from strays none is judged to be one.
    if (lido_append_process(&ours, server->children[i].process) < 0) return;
  }
  lido_sort_processes(&ours);
  lido_list_children(found);
  size_t count = 0;
  for (size_t i = 0; i < found->count; i++) {
    if (!lido_has_process(&ours, found->list[i])) found->list[count++] = found->list[i];
  }
  found->count = count;
}

// Reads what a child says about its setup: nothing and the end means that its program runs.
static void conclude_setup(struct server *server, struct child *child) {
  struct lido_start_failure failure;
  ssize_t length = read(child->setup, &failure, sizeof failure);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
  close(child->setup); // Leaves epoll by itself: the child's end was never in this table.
  child->setup = -1;
  if (length == sizeof failure) {
    child->failed = 1;
    close(child->pidfd);
    child->pidfd = -1;
    reply_start_failed(server, child->token, failure.stage, failure.error_number);
    return;
  }
  struct lido_reply started = {
      .token = child->token, .kind = LIDO_REPLY_STARTED, .process = child->process};
  int pidfd = child->pidfd;
  child->pidfd = -1;
  reply(server, &started, pidfd);
}

// Makes room for one more child. Returns -1 if there is no memory.
static int reserve_child(struct server *server) {
  if (server->child_count < server->child_capacity) return 0;
  size_t capacity = server->child_capacity * 2 + 16;
  struct child *children = realloc(server->children, capacity * sizeof *children);
  if (children == NULL) return -1;
  server->children = children;
  server->child_capacity = capacity;
  return 0;
}

// Notes the new child, for which there is room. Its setup ends when its pipe does.
static void adopt(struct server *server, const struct lido_request *request, pid_t process,
                  int setup) {
  uint64_t token = request->token;
  // Before anything can reap it, so the descriptor can mean no other process.
  int pidfd = pidfd_open(process, 0);
  int stage = LIDO_STAGE_FORK;
  int failure = pidfd < 0 ? errno : 0;
  if (failure == 0 && try_watch(server, EPOLL_CTL_ADD, setup, EPOLLIN) < 0) {
    stage = LIDO_STAGE_WATCH;
    failure = errno;
  }
  server->children[server->child_count++] =
      (struct child){.token = token, .process = process, .pidfd = pidfd, .setup = setup,
                     .lingers = request->lingers != 0};
  if (failure == 0) return;
  // Without a sentinel nobody could wait for it, and without a watch we would not learn that it
  // runs. It costs this one child and no other.
  struct child *child = &server->children[server->child_count - 1];
  kill(-process, SIGKILL);
  kill(process, SIGKILL);
  child->failed = 1;
  close(child->setup);
  child->setup = -1;
  if (pidfd >= 0) close(pidfd);
  child->pidfd = -1;
  reply_start_failed(server, token, stage, failure);
}

// In a fork: closes what is the server's alone, and the reading end of the fork's own setup pipe.
static void let_go(struct server *server, int setup) {
  close(server->socket);
  close(server->signals);
  close(server->events);
  close(setup);
  for (size_t i = 0; i < server->child_count; i++) {
    if (server->children[i].setup >= 0) close(server->children[i].setup);
    if (server->children[i].pidfd >= 0) close(server->children[i].pidfd);
  }
  for (struct waiting_reply *waiting = server->first_waiting; waiting != NULL;
       waiting = waiting->next) {
    if (waiting->pidfd >= 0) close(waiting->pidfd);
  }
}

// Forks. Returns 1 in the child, which has `entry` to run; 0 in the server, whatever happened.
static int start(struct server *server, const struct lido_order *order, struct lido_entry *entry) {
  int setup[2];
  uint64_t token = order->request.token;
  if (reserve_child(server) < 0 || pipe2(setup, O_CLOEXEC | O_NONBLOCK) < 0) {
    reply_start_failed(server, token, LIDO_STAGE_FORK, errno);
    return 0;
  }
  // What this process ignores is kept for the child until it has dispositions of its own and
  // unblocks it (a blocked signal is never ignored): an early SIGTERM must not get lost.
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  pid_t process = fork();
  if (process == 0) {
    if (server->bequeaths) let_go(server, setup[0]);
    lido_become(order, setup[1], server->self, server->bequeaths, entry);
    return 1;
  }
  int failure = errno;
  sigprocmask(SIG_SETMASK, &before, NULL);
  close(setup[1]);
  if (process < 0) {
    close(setup[0]);
    reply_start_failed(server, token, LIDO_STAGE_FORK, failure);
    return 0;
  }
  // On both sides: whichever comes first, the group exists before anyone signals it. An error
  // means that the child was first and has executed its program.
  setpgid(process, process);
  adopt(server, &order->request, process, setup[0]);
  return 0;
}

static void signal_child(struct server *server, uint64_t token, int number) {
  for (size_t i = 0; i < server->child_count; i++) {
    if (server->children[i].token == token) kill(-server->children[i].process, number);
  }
}

// Takes one request. Returns 1 in a new child.
static int take_request(struct server *server, struct lido_entry *entry) {
  int descriptors[LIDO_DESCRIPTORS_MAX];
  size_t count = LIDO_DESCRIPTORS_MAX;
  ssize_t length = lido_receive_message(server->socket, message, sizeof message, descriptors,
                                        &count);
  if (length < 0 && errno == EAGAIN) return 0;
  int failure = length < 0 ? errno : EINVAL;
  if (length == 0 || (length < 0 && failure != EMSGSIZE && failure != EMFILE)) {
    server->ended = 1;
    return 0;
  }
  struct lido_order order;
  int is_child = 0;
  if (length > 0 && lido_parse_request(message, (size_t)length, descriptors, count, &order) == 0) {
    if (order.request.kind == LIDO_REQUEST_SIGNAL) {
      signal_child(server, order.request.token, order.request.signal_number);
    } else if (order.request.kind == LIDO_REQUEST_PING) {
      struct lido_reply pong = {.kind = LIDO_REPLY_PONG};
      reply(server, &pong, -1);
    } else if (order.request.kind == LIDO_REQUEST_HOLD) {
      if (server->held >= 0) close(server->held);
      server->held = descriptors[0];
      count = 0; // It is kept.
    } else {
      lido_hand_over(&order, server->held);
      is_child = start(server, &order, entry);
      if (is_child) return 1; // Its descriptors are arranged already.
    }
  } else {
    reply_start_failed(server, ((struct lido_request *)message)->token, LIDO_STAGE_REQUEST,
                       failure);
  }
  for (size_t i = 0; i < count; i++) close(descriptors[i]);
  return is_child;
}

static void report_exit(struct server *server, struct child *child, int status,
                        const struct rusage *usage) {
  if (child->setup >= 0) conclude_setup(server, child);
  if (child->failed) return;
  struct lido_reply exited = {
      .token = child->token,
      .kind = LIDO_REPLY_EXITED,
      .process = child->process,
      .wait_status = status,
      .cpu_microseconds = (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000 +
                          (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec),
      .resident_kilobytes_max = (uint64_t)usage->ru_maxrss,
  };
  reply(server, &exited, -1);
}

// Reaps everything that has ended. Returns whether anything had, and through `due` when that is due
// what they have left behind, if that is later than `*due`.
static int reap_ended(struct server *server, uint64_t *due) {
  int reaped = 0;
  for (;;) {
    siginfo_t seen = {0};
    // Look first: while the zombie holds its number, its group can be killed without hitting a
    // stranger that was given the same one.
    if (waitid(P_ALL, 0, &seen, WEXITED | WNOHANG | WNOWAIT) < 0 || seen.si_pid == 0) return reaped;
    struct child *child = find_process(server, seen.si_pid);
    if (child != NULL) kill(-seen.si_pid, SIGKILL);
    int status;
    struct rusage usage;
    if (wait4(seen.si_pid, &status, 0, &usage) != seen.si_pid) continue;
    reaped = 1;
    // What a stray leaves behind has no more time than it had: else a chain of them never ended.
    uint64_t left = lido_strays_reaped(&strays, seen.si_pid);
    if (child != NULL) {
      if (child->lingers) left = now_milliseconds() + STRAY_MILLISECONDS;
      report_exit(server, child, status, &usage);
      *child = server->children[--server->child_count];
    }
    if (left > *due) *due = left;
  }
}

// Reaps everything that has ended, and notes what that leaves behind.
static void reap(struct server *server) {
  static struct lido_processes found;
  uint64_t due = 0;
  found.count = 0;
  // A stray shows before the end of the one that left it does. So they are judged when nothing is
  // left to be reaped, or else after some rounds: such ends need not ever cease. When all is to
  // end those are looked for as well that came without an end of a child, from below a stray.
  for (int round = 0; round < 3; round++) {
    if (!reap_ended(server, &due) && (round > 0 || server->end == 0)) break;
    find_strays(server, &found);
  }
  if (server->end != 0 && due > server->end) due = server->end;
  lido_strays_found(&strays, &found, due);
}

// Kills the strays whose time is over. Returns the milliseconds until that is due; -1: none is.
static int pass_time(void) {
  uint64_t now = now_milliseconds();
  uint64_t next = strays.count == 0 ? 0 : lido_strays_kill_due(&strays, now);
  return next == 0 ? -1 : (int)(next - now);
}

static void drain_signals(struct server *server) {
  struct signalfd_siginfo ignored[8];
  while (read(server->signals, ignored, sizeof ignored) > 0) {
  }
}

static void kill_children(struct server *server, int lingering) {
  for (size_t i = 0; i < server->child_count; i++) {
    if (server->children[i].lingers == lingering) kill(-server->children[i].process, SIGKILL);
  }
}

// Ends everything below us and then this process: nothing survives the client. Those that linger
// end by themselves, within bounds.
static _Noreturn void end_everything(struct server *server) {
  uint64_t children_due = now_milliseconds() + LIDO_LINGER_MILLISECONDS;
  server->end = children_due + STRAY_MILLISECONDS;
  kill_children(server, 0);
  for (;;) {
    reap(server);
    int bound = pass_time();
    siginfo_t seen;
    // No child is left, known or not.
    if (waitid(P_ALL, 0, &seen, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD) _exit(0);
    uint64_t now = now_milliseconds();
    if (now < children_due) {
      int left = (int)(children_due - now);
      if (bound < 0 || left < bound) bound = left;
    } else {
      kill_children(server, 1);
    }
    struct pollfd signals = {.fd = server->signals, .events = POLLIN};
    poll(&signals, 1, bound);
    drain_signals(server);
  }
}

// Makes this process a server: a session of its own, so that no terminal reaches it, no signals
// but SIGKILL, and unless it bequeaths it, nothing open but its socket.
static void settle(struct server *server) {
  static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT, SIGTSTP, SIGUSR1,
                                SIGUSR2};
  // Before anything is opened that could take the number of somebody's stdout.
  if (lido_reserve_standard_descriptors() < 0) give_up("/dev/null");
  setsid(); // Fails harmlessly if this process leads a group already.
  setpgid(0, 0);
  prctl(PR_SET_NAME, "lido-forks");
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
  signal(SIGCHLD, SIG_DFL); // If it came ignored, children would vanish unreaped.
  if (!server->bequeaths) {
    int keep = -1;
    int target = 3;
    if (lido_arrange_descriptors(&server->socket, &target, 1, &keep) < 0) give_up("descriptors");
    server->socket = target;
  }
  fcntl(server->socket, F_SETFD, FD_CLOEXEC);
  // Nobody below a service reads its terminal.
  int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null >= 0) {
    dup2(null, 0);
    close(null);
  }
  sigset_t child_signal;
  sigemptyset(&child_signal);
  sigaddset(&child_signal, SIGCHLD);
  sigprocmask(SIG_SETMASK, &child_signal, NULL);
  server->self = getpid();
  server->signals = signalfd(-1, &child_signal, SFD_CLOEXEC | SFD_NONBLOCK);
  server->events = epoll_create1(EPOLL_CLOEXEC);
  if (server->signals < 0 || server->events < 0) give_up("signalfd or epoll");
  watch(server, EPOLL_CTL_ADD, server->signals, EPOLLIN);
  watch(server, EPOLL_CTL_ADD, server->socket, EPOLLIN);
}

int lido_forkserver_run(int socket, int bequeaths, struct lido_entry *entry) {
  struct server server = {.socket = socket, .bequeaths = bequeaths, .held = -1};
  strays.count = 0; // This process may be a fork of another fork server.
  settle(&server);
  while (!server.ended) {
    struct epoll_event events[16];
    int count = epoll_wait(server.events, events, 16, pass_time());
    if (count < 0 && errno != EINTR) give_up("epoll_wait");
    for (int i = 0; i < count; i++) {
      int descriptor = events[i].data.fd;
      if (descriptor == server.signals) {
        drain_signals(&server);
        reap(&server);
      } else if (descriptor == server.socket) {
        if (events[i].events & EPOLLHUP) server.ended = 1; // What it asked for last is void.
        if (events[i].events & EPOLLOUT) send_waiting(&server);
        if (!server.ended && events[i].events & EPOLLIN && take_request(&server, entry)) return 0;
      } else {
        for (size_t j = 0; j < server.child_count; j++) {
          if (server.children[j].setup == descriptor) conclude_setup(&server, &server.children[j]);
        }
      }
    }
  }
  end_everything(&server);
}

// Both ends, close-on-exec; the buffers as large as a request may be. The client's end, [0], does
// not wait; neither does the server's, because every call on it asks for that.
static int make_sockets(int sockets[2]) {
  if (lido_socket_pair(SOCK_SEQPACKET | SOCK_NONBLOCK, sockets) < 0) return -1;
  int size = LIDO_REQUEST_BYTES_MAX;
  for (int end = 0; end < 2; end++) {
    // The second needs no privilege but is bounded by net.core.wmem_max.
    if (setsockopt(sockets[end], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
      setsockopt(sockets[end], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  }
  return 0;
}

int lido_forkserver_fork(int *process, int *socket) {
  int sockets[2];
  sigset_t all, before;
  if (lido_reserve_standard_descriptors() < 0 || make_sockets(sockets) < 0) return -1;
  fflush(NULL); // What is buffered would be written twice.
  // A signal must not reach the server before it has settled and ignores it.
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  pid_t forked = fork();
  if (forked == 0) {
    close(sockets[0]);
    *socket = sockets[1];
    return 0;
  }
  int failure = errno;
  sigprocmask(SIG_SETMASK, &before, NULL);
  close(sockets[1]);
  if (forked < 0) {
    close(sockets[0]);
    errno = failure;
    return -1;
  }
  *process = forked;
  *socket = sockets[0];
  return 1;
}

int lido_forkserver_spawn(const char *program, char *const *arguments, const char *variable,
                          int *process, int *socket) {
  int sockets[2];
  if (make_sockets(sockets) < 0) return errno;
  size_t count = 0;
  while (environ[count] != NULL) count++;
  char **environment = calloc(count + 2, sizeof *environment);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions); // These two allocate nothing and cannot fail in glibc.
  posix_spawnattr_init(&attributes);
  int failure = environment == NULL ? ENOMEM : 0;
  if (failure == 0) {
    sigset_t all; // As in lido_forkserver_fork: nothing before it has settled.
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    memcpy(environment, environ, count * sizeof *environment);
    environment[count] = (char *)variable;
    failure = posix_spawn_file_actions_adddup2(&actions, sockets[1], 3);
    if (failure == 0) failure = posix_spawn_file_actions_addclosefrom_np(&actions, 4);
    if (failure == 0)
      failure = posix_spawn(process, program, &actions, &attributes, arguments, environment);
  }
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  free(environment);
  close(sockets[1]);
  if (failure != 0) {
    close(sockets[0]);
    return failure;
  }
  *socket = sockets[0];
  return 0;
}
