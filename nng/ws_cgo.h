// The C side of WebSocket streams. Callbacks: see http_cgo.c.
#ifndef NNGHTTP_WS_CGO_H
#define NNGHTTP_WS_CGO_H

#include "http_cgo.h"

// nng's own transports set this option to get whole messages (nng_msg) instead of
// bytes. Its name is not in a public header, but the public setters take it, and it
// is the same in every 1.x release.
#define NNGO_WS_MSGMODE "ws:msgmode"

// Patch 0096: how long a connection may wait for an accept. Other libraries refuse it.
#define NNGO_WS_PENDING_TIME "ws:pending-time"

// nngo_ws_closed reports whether the stream has been closed, by either side.
bool nngo_ws_closed(nng_stream *);

// The functions of nng that make what belongs to the loop (http_cgo.h).
int nngo_ws_dialer_alloc(nng_stream_dialer **, const char *);
int nngo_ws_listener_alloc(nng_stream_listener **, const char *);
int nngo_ws_listen(nng_stream_listener *);

// These start an operation; output 0 is the stream.
nngo_started nngo_ws_dial(nng_stream_dialer *, nngo_op *);
nngo_started nngo_ws_accept(nng_stream_listener *, nngo_op *);

// nngo_ws_send starts sending a copy of len bytes as one message. When the operation has
// ended, nngo_ws_sent frees what failed.
nngo_started nngo_ws_send(nng_stream *, nngo_op *, const void *, size_t);
void         nngo_ws_sent(nngo_op *);

// nngo_ws_recv starts receiving a message. nngo_ws_received takes it when the
// operation has succeeded; the caller frees it.
nngo_started nngo_ws_recv(nng_stream *, nngo_op *);
nng_msg     *nngo_ws_received(nngo_op *);

#endif
