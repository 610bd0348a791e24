#ifndef LIDO_CHILD_H
#define LIDO_CHILD_H
// Private to CPlatform: what a child of the fork server does between fork and its program.
#include "descriptors.h"
#include "forkserver.h"

// A request taken apart. The pointers lead into the received message.
struct lido_order {
  struct lido_request request;
  const struct lido_limit *limits;
  int targets[LIDO_DESCRIPTORS_MAX];
  int sources[LIDO_DESCRIPTORS_MAX];
  size_t descriptor_count;
  int held; // The target that is for the child alone; -1: none. See LIDO_REQUEST_HOLD.
  const char *texts; // `text_count` NUL-terminated strings, one after the other.
  const uint8_t *payload;
};

// What a child that cannot start writes into its setup pipe.
struct lido_start_failure {
  int32_t stage;
  int32_t error_number;
};

// Takes `message` apart into `order`, checking every length and number. The message must be
// aligned for a uint64_t. Returns 0, or -1 if it is not a request that the client could have sent.
int lido_parse_request(const void *message, size_t length, const int *descriptors,
                       size_t descriptor_count, struct lido_order *order);

// Has the child that `order` asks for, if it is a fork, hold `descriptor`; -1: nothing.
void lido_hand_over(struct lido_order *order, int descriptor);

// In the child: makes this process what the order asks for. Returns only for a fork (0, with
// `entry` filled); an exec is gone then. On failure the reason is written to `setup` and the
// process ends with 127. `server` is the fork server's process id.
// A closed `setup` with nothing in it tells the server that the program runs. With `keeps` a fork
// keeps what is open, see lido_forkserver_run.
int lido_become(const struct lido_order *order, int setup, pid_t server, int keeps,
                struct lido_entry *entry);

// Gives every signal its default action and blocks none, as a new program expects it, but for the
// signal `blocked` (0: no exception).
void lido_reset_signals(int blocked);

#endif
