#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

int lido_parse_request(const void *message, size_t length, const int *descriptors,
                       size_t descriptor_count, struct lido_order *order) {
  const uint8_t *next = message;
  if (length < sizeof order->request) return -1;
  memcpy(&order->request, next, sizeof order->request);
  const struct lido_request *request = &order->request;
  next += sizeof order->request;
  length -= sizeof order->request;

  if (request->limit_count > length / sizeof(struct lido_limit)) return -1;
  order->limits = (const struct lido_limit *)next;
  next += request->limit_count * sizeof(struct lido_limit);
  length -= request->limit_count * sizeof(struct lido_limit);

  if (request->descriptor_count != descriptor_count) return -1;
  if (descriptor_count > LIDO_DESCRIPTORS_MAX) return -1;
  if (descriptor_count > length / sizeof(int32_t)) return -1;
  for (size_t i = 0; i < descriptor_count; i++) {
    int32_t target;
    memcpy(&target, next + i * sizeof target, sizeof target);
    if (target < 0 || target > 1000) return -1;
    order->targets[i] = target;
    order->sources[i] = descriptors[i];
  }
  order->descriptor_count = descriptor_count;
  order->held = -1;
  next += descriptor_count * sizeof(int32_t);
  length -= descriptor_count * sizeof(int32_t);

  order->texts = (const char *)next;
  for (uint32_t i = 0; i < request->text_count; i++) {
    const uint8_t *end = memchr(next, 0, length);
    if (end == NULL) return -1;
    length -= (size_t)(end + 1 - next);
    next = end + 1;
  }
  order->payload = next;
  if (length != request->payload_length) return -1;
  switch (request->kind) {
  case LIDO_REQUEST_FORK:
    return request->text_count == 0 ? 0 : -1;
  case LIDO_REQUEST_EXEC:
    if (request->payload_length != 0 || request->argument_count == 0) return -1;
    return request->text_count >= 2 && request->argument_count <= request->text_count - 2 ? 0 : -1;
  case LIDO_REQUEST_SIGNAL:
    return request->signal_number > 0 && request->signal_number < NSIG ? 0 : -1;
  case LIDO_REQUEST_PING:
    return 0;
  case LIDO_REQUEST_HOLD:
    return order->descriptor_count == 1 ? 0 : -1;
  default:
    return -1;
  }
}

// Tells the server why this child cannot start, and ends it.
static _Noreturn void fail(int setup, enum lido_stage stage) {
  struct lido_start_failure failure = {.stage = stage, .error_number = errno};
  ssize_t written;
  do {
    written = write(setup, &failure, sizeof failure);
  } while (written < 0 && errno == EINTR);
  _exit(127);
}

// glibc's sigaction takes no lock for any signal that the loop below can reach in a process that
// glibc's own fork made; the known deadlock (swift-subprocess #374) needs a raw clone.
void lido_reset_signals(int blocked) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; number++) sigaction(number, &action, NULL);
  sigset_t mask;
  sigemptyset(&mask);
  if (blocked != 0) sigaddset(&mask, blocked);
  sigprocmask(SIG_SETMASK, &mask, NULL);
}

static int adjust_oom_score(int value) {
  char text[16];
  int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file < 0) return -1;
  int length = snprintf(text, sizeof text, "%d", value);
  ssize_t written = write(file, text, (size_t)length);
  int failure = errno;
  close(file);
  errno = failure;
  return written == length ? 0 : -1;
}

static int set_limits(const struct lido_order *order) {
  for (uint32_t i = 0; i < order->request.limit_count; i++) {
    struct lido_limit limit;
    memcpy(&limit, (const uint8_t *)order->limits + i * sizeof limit, sizeof limit);
    struct rlimit value = {.rlim_cur = limit.soft, .rlim_max = limit.hard};
    if (setrlimit((__rlimit_resource_t)limit.resource, &value) < 0) return -1;
  }
  return 0;
}

// Not to be allowed to is no reason not to run: it costs some speed.
static void schedule_as_batch(void) {
  struct sched_param none = {0};
  if (sched_getscheduler(0) == SCHED_OTHER) sched_setscheduler(0, SCHED_BATCH, &none);
}

static int set_priority(const struct lido_request *request) {
  if (request->is_batch) schedule_as_batch();
  if (request->oom_score_adjust != 0 && adjust_oom_score(request->oom_score_adjust) < 0) return -1;
  if (request->nice == 0) return 0;
  errno = 0;
  return nice(request->nice) == -1 && errno != 0 ? -1 : 0;
}

// Executes `program`, found by PATH of the new environment if it is a bare name. Unlike execvp it
// never hands a file to a shell. Returns only on failure, with the errno that helps most: EACCES
// of a file that is there goes before ENOENT of the places where it is not.
static void execute(const char *program, char **arguments, char **environment) {
  if (strchr(program, '/') != NULL) {
    execve(program, arguments, environment);
    return;
  }
  const char *path = "/usr/local/bin:/usr/bin:/bin";
  for (char **variable = environment; *variable != NULL; variable++) {
    if (strncmp(*variable, "PATH=", 5) == 0) path = *variable + 5;
  }
  int failure = ENOENT;
  while (*path != '\0') {
    size_t length = strcspn(path, ":");
    char candidate[4096];
    int printed = snprintf(candidate, sizeof candidate, "%.*s/%s", (int)length, path, program);
    // An empty entry would mean the working folder: a trap, not a feature.
    if (length > 0 && printed > 0 && (size_t)printed < sizeof candidate) {
      execve(candidate, arguments, environment);
      if (errno != ENOENT && errno != ENOTDIR) failure = errno;
      if (failure != ENOENT && failure != EACCES) break;
    }
    path += length;
    if (*path == ':') path++;
  }
  errno = failure;
}

// Turns the order's strings into arrays and executes the program. Returns only on failure.
static void execute_order(const struct lido_order *order, int setup) {
  const struct lido_request *request = &order->request;
  // malloc is sound here: the process was forked from one with a single thread.
  char **pointers = calloc(request->text_count + 2, sizeof *pointers);
  if (pointers == NULL) fail(setup, LIDO_STAGE_EXEC);
  char **arguments = pointers;
  char **environment = pointers + request->argument_count + 1;
  char *text = (char *)order->texts;
  const char *folder = text;
  text += strlen(text) + 1;
  const char *program = text;
  text += strlen(text) + 1;
  for (uint32_t i = 0; i + 2 < request->text_count; i++) {
    if (i < request->argument_count) {
      arguments[i] = text;
    } else {
      environment[i - request->argument_count] = text;
    }
    text += strlen(text) + 1;
  }
  if (*folder != '\0' && chdir(folder) < 0) fail(setup, LIDO_STAGE_FOLDER);
  // Last: what is done until here must not fail for want of what only the program shall lack.
  if (set_limits(order) < 0) fail(setup, LIDO_STAGE_LIMITS);
  execute(program, arguments, environment);
  fail(setup, LIDO_STAGE_EXEC);
}

// What this process holds for the service; see LIDO_REQUEST_HOLD. A process that it forks does not:
// it may live for longer than all that the service has started.
static int held = -1;

static void let_go(void) {
  if (held >= 0) close(held);
  held = -1;
}

// Gives the child the descriptor above all others that it gets. Without room for it there, the
// service's next start only has to trust that the child ends with the fork server.
void lido_hand_over(struct lido_order *order, int descriptor) {
  if (descriptor < 0 || order->request.kind != LIDO_REQUEST_FORK ||
      order->descriptor_count == LIDO_DESCRIPTORS_MAX)
    return;
  int top = 2;
  for (size_t i = 0; i < order->descriptor_count; i++) {
    if (order->targets[i] > top) top = order->targets[i];
  }
  order->sources[order->descriptor_count] = descriptor;
  order->targets[order->descriptor_count++] = top + 1;
  order->held = top + 1;
}

// Adds what the order names to what this process has open. It came above the standard descriptors,
// under numbers that were free, and stays there but for what is to be one of those.
static int add_descriptors(const struct lido_order *order, struct lido_entry *entry) {
  for (size_t i = 0; i < order->descriptor_count; i++) {
    int target = order->targets[i];
    entry->numbers[i] = order->sources[i];
    if (target > 2) continue;
    if (dup2(order->sources[i], target) < 0) return -1;
    close(order->sources[i]);
    entry->numbers[i] = target;
  }
  return 0;
}

static int take_descriptors(const struct lido_order *order, int *setup, int keeps,
                            struct lido_entry *entry) {
  size_t size = order->descriptor_count * sizeof(int32_t);
  // What is held is nothing that the child asks for.
  entry->descriptor_count = (uint32_t)order->descriptor_count - (order->held >= 0);
  memcpy(entry->targets, order->targets, size);
  if (keeps) return add_descriptors(order, entry);
  memcpy(entry->numbers, order->targets, size);
  return lido_arrange_descriptors(order->sources, order->targets, order->descriptor_count, setup);
}

int lido_become(const struct lido_order *order, int setup, pid_t server, int keeps,
                struct lido_entry *entry) {
  const struct lido_request *request = &order->request;
  keeps = keeps && request->kind == LIDO_REQUEST_FORK;
  if (setpgid(0, 0) < 0) fail(setup, LIDO_STAGE_PROCESS_GROUP);
  // Killed, or told, with the fork server; if that is gone already, the signal will never come.
  prctl(PR_SET_PDEATHSIG, request->survives ? SIGRTMAX : SIGKILL);
  if (getppid() != server) _exit(127);
  // Orphans below this process stay below it while it lives, so that whatever is ever reparented
  // to the fork server is known to have lost its worker. (If it does not wait for them they stay
  // zombies until it ends.)
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (set_priority(request) < 0) fail(setup, LIDO_STAGE_PRIORITY);
  if (take_descriptors(order, &setup, keeps, entry) < 0)
    fail(setup, LIDO_STAGE_DESCRIPTORS);
  if (order->held >= 0) {
    held = keeps ? order->sources[order->descriptor_count - 1] : order->held;
    fcntl(held, F_SETFD, FD_CLOEXEC);
    pthread_atfork(NULL, NULL, let_go);
  }
  // What the end of the server means is decided once lido_follow_parent has been called.
  lido_reset_signals(request->survives ? SIGRTMAX : 0);
  if (request->kind == LIDO_REQUEST_EXEC) execute_order(order, setup);

  entry->code = request->entry;
  entry->payload_length = request->payload_length;
  entry->payload = NULL;
  if (request->payload_length > 0) {
    entry->payload = malloc(request->payload_length);
    if (entry->payload == NULL) fail(setup, LIDO_STAGE_FORK);
    memcpy(entry->payload, order->payload, request->payload_length);
  }
  if (set_limits(order) < 0) fail(setup, LIDO_STAGE_LIMITS);
  close(setup);
  return 0;
}
