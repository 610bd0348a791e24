/* What Swift cannot call in libmicrohttpd (variadic functions), as plain functions.
   Nothing is decided here. */
#ifndef LIDO_CMICROHTTPD_SHIM_H
#define LIDO_CMICROHTTPD_SHIM_H

#include <microhttpd.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* glibc declares it under _GNU_SOURCE only, which is not defined where Swift reads this. */
extern int accept4(int listener, struct sockaddr *name, socklen_t *length, int flags);

/* Everything that the daemon is started with; `context` is handed to every callback. */
struct mhd_setup {
  unsigned int flags;
  unsigned int connections_max;
  size_t connection_memory_bytes;
  unsigned int idle_seconds;
  void *context;
  MHD_AccessHandlerCallback on_request;
  MHD_RequestCompletedCallback on_completed;
  MHD_NotifyConnectionCallback on_connection;
  void *(*on_target)(void *context, const char *target, struct MHD_Connection *connection);
};

/* Leaves percent escapes alone: libmicrohttpd would cut the path at %00; we decode by ourselves. */
static size_t mhd_keep_escaped(void *context, struct MHD_Connection *connection, char *text) {
  (void)context;
  (void)connection;
  return strlen(text);
}

/* Whether this is the version whose ways are known: it leaves every line of a request where it
   came in, and writes NUL over what ended it; it keeps a copy of a header's value for the response,
   and sends that as it is. */
static inline int mhd_is_known(void) { return strcmp(MHD_get_version(), "0.9.75") == 0; }

/* Has libmicrohttpd told of a connection's end which it does not watch: it takes a connection out
   of its epoll instance as it is suspended, and does not put it back while it has no room to read.
   Its events name the connection by its address (0.9.75). */
static inline void mhd_watch_again(struct MHD_Daemon *daemon, struct MHD_Connection *connection,
                                   int descriptor) {
  const union MHD_DaemonInfo *i = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
  struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data = {.ptr = connection}};
  if (i) epoll_ctl(i->epoll_fd, EPOLL_CTL_ADD, descriptor, &event);
}

/* Ends a target behind its '?', so that libmicrohttpd finds no arguments in it: some hundred
   exhaust its memory for the connection, and the request is then never answered. For the callback
   that is told of the target; the buffer is libmicrohttpd's own, and written to by itself. */
static inline void mhd_hide_query(const char *target) {
  char *mark = target ? strchr(target, '?') : NULL;
  if (mark && mark[1]) mark[1] = 0;
}

/* Adds a header, and behind its value further lines, name and all, each begun by two bytes 1. A
   header costs libmicrohttpd three allocations: to add five took a tenth of a request's
   instructions. It refuses a value with a line's end in it, so that these are put in place of the
   marks in its copy. No value may hold a mark, CR or LF of its own: the caller sees to that. */
static inline void mhd_add_lines(struct MHD_Response *response, const char *name,
                                 const char *lines) {
  if (MHD_add_response_header(response, name, lines) != MHD_YES) return;
  char *place = (char *)MHD_get_response_header(response, name);
  while (place && (place = strchr(place, 1))) {
    *place++ = '\r';
    *place++ = '\n';
  }
}

/* NULL when it cannot start. */
static inline struct MHD_Daemon *mhd_start(const struct mhd_setup *s) {
  return MHD_start_daemon(
      s->flags, 0, NULL, NULL, s->on_request, s->context,
      MHD_OPTION_CONNECTION_LIMIT, s->connections_max,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, s->connection_memory_bytes,
      MHD_OPTION_CONNECTION_TIMEOUT, s->idle_seconds,
      MHD_OPTION_NOTIFY_COMPLETED, s->on_completed, s->context,
      MHD_OPTION_NOTIFY_CONNECTION, s->on_connection, s->context,
      MHD_OPTION_URI_LOG_CALLBACK, s->on_target, s->context,
      MHD_OPTION_UNESCAPE_CALLBACK, &mhd_keep_escaped, NULL,
      MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
      MHD_OPTION_END);
}

static inline int mhd_epoll_fd(struct MHD_Daemon *daemon) {
  const union MHD_DaemonInfo *i = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
  return i ? i->epoll_fd : -1;
}

static inline int mhd_connection_fd(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *i =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  return i ? i->connect_fd : -1;
}

/* What the connection callback stored for this connection. */
static inline void *mhd_connection_context(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *i =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return i ? i->socket_context : NULL;
}

/* Bytes of request line and header block; known from the first handler call on. */
static inline size_t mhd_header_size(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *i =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  return i ? i->header_size : 0;
}

/* A response of unknown length is not chunked, and ends with the connection. */
static inline void mhd_end_with_connection(struct MHD_Response *response) {
  MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
}

#endif
