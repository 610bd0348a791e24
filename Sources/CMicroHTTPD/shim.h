/* What Swift cannot call in libmicrohttpd (variadic functions), as plain functions.
   Nothing is decided here. */
#ifndef LIDO_CMICROHTTPD_SHIM_H
#define LIDO_CMICROHTTPD_SHIM_H

#include <microhttpd.h>
#include <string.h>
#include <sys/epoll.h>

/* Everything that the daemon is started with; `context` is handed to every callback. */
struct mhd_setup {
  unsigned int flags;
  int listen_fd;
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

/* NULL when it cannot start; libmicrohttpd may then have closed `listen_fd`, or not. */
static inline struct MHD_Daemon *mhd_start(const struct mhd_setup *s) {
  return MHD_start_daemon(
      s->flags, 0, NULL, NULL, s->on_request, s->context,
      MHD_OPTION_LISTEN_SOCKET, s->listen_fd,
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
