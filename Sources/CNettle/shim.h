// Nettle 3.8, for SHA-256 and a comparison in constant time. libmicrohttpd brings it along: its
// package depends on GnuTLS, and that on Nettle, so it is installed and loaded in any case.
#include <nettle/memops.h>
#include <nettle/sha2.h>
