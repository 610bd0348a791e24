#ifndef LIDO_CLAIMS_H
#define LIDO_CLAIMS_H
#include <stdint.h>

// One page shared by the server and one worker, which settles who owns a call that is already on
// the worker's channel: the worker, by claiming it before it starts, or the server, by revoking
// what is not claimed yet. Both are one compare-and-swap on one word, so exactly one of them wins.
//
// Calls on a channel have ordinals 1, 2, 3 ... in the order in which they are written.
struct lido_claims;

// Makes the page. Returns its address and, through `descriptor`, a close-on-exec memfd for the
// worker; or NULL with errno.
struct lido_claims *lido_claims_create(int *descriptor);

// Maps the page behind `descriptor`, which may be closed afterwards. NULL with errno on failure.
struct lido_claims *lido_claims_map(int descriptor);

// Unmaps the page; NULL is allowed.
void lido_claims_unmap(struct lido_claims *claims);

// Worker: takes the call `ordinal`. Returns 1, or 0 if it was revoked and must not be run.
int lido_claims_take(struct lido_claims *claims, uint32_t ordinal);

// Server: revokes every call up to and including `last` that is not claimed.
// Returns the ordinal of the last claimed call (0: none): those above it will never be run.
uint32_t lido_claims_revoke(struct lido_claims *claims, uint32_t last);

// The ordinal of the last claimed call, 0 if none.
uint32_t lido_claims_last(const struct lido_claims *claims);

#endif
