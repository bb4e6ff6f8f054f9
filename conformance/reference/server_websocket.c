// The WebSocket part of the reference server: nng's streams, as its transport for WebSockets uses
// them, on the port of the HTTP server.
//
// A stream does not tell whether a message was text or binary, and sends one of the two. So each
// route has one: /ws text, /ws/binary binary (and refuses text), /ws/chat text, too.

#include "websocket.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>
#include <nng/supplemental/util/platform.h>

static void
must(int rv, const char *what)
{
	if (rv != 0) {
		fprintf(stderr, "%s: %s\n", what, nng_strerror(rv));
		exit(1);
	}
}

// ---- a connection: each message is sent back ----

typedef struct {
	nng_stream *stream;
	nng_aio *   aio;
	bool        sending;
} echo;

// receive waits for the next message. In the library as published a receive that begins on a
// connection that has ended never returns (defect W20), so it is looked at; the lock keeps the
// callback waiting until that is done.
static nng_mtx *lock;

static void
receive(echo *e)
{
	bool b;

	nng_mtx_lock(lock);
	nng_stream_recv(e->stream, e->aio);
	if (nng_stream_get_bool(e->stream, NNG_OPT_WS_RECV_TEXT, &b) == NNG_ECLOSED) {
		nng_aio_cancel(e->aio);
	}
	nng_mtx_unlock(lock);
}

static void
echo_cb(void *arg)
{
	echo *   e = arg;
	nng_msg *msg;

	nng_mtx_lock(lock);
	nng_mtx_unlock(lock);
	if (nng_aio_result(e->aio) != 0) {
		if (e->sending && ((msg = nng_aio_get_msg(e->aio)) != NULL)) {
			nng_msg_free(msg);
		}
		nng_stream_free(e->stream); // which closes it
		nng_aio_reap(e->aio);
		free(e);
		return;
	}
	if (e->sending) {
		e->sending = false;
		nng_aio_set_msg(e->aio, NULL);
		receive(e);
	} else {
		e->sending = true; // the message is in the aio
		nng_stream_send(e->stream, e->aio);
	}
}

static void
echo_start(nng_stream *stream)
{
	echo *e = calloc(1, sizeof(*e));

	e->stream = stream;
	must(nng_aio_alloc(&e->aio, echo_cb, e), "aio_alloc");
	receive(e);
}

// ---- a route ----

typedef struct {
	nng_stream_listener *listener;
	nng_aio *            aio;
} route;

static void
accept_cb(void *arg)
{
	route *r = arg;
	int    rv;

	if ((rv = nng_aio_result(r->aio)) == 0) {
		echo_start(nng_aio_get_output(r->aio, 0));
	}
	if (rv != NNG_ECLOSED) {
		nng_stream_listener_accept(r->listener, r->aio);
	}
}

static void
listen_at(const char *base, const char *path, bool text, const char *protocol)
{
	route *r = calloc(1, sizeof(*r));
	char   url[256];

	// "ws" for "http", "wss" for "https"
	snprintf(url, sizeof(url), "ws%s%s", base + strlen("http"), path);
	must(nng_stream_listener_alloc(&r->listener, url), url);
	must(nng_stream_listener_set_bool(r->listener, OPT_MSGMODE, true), OPT_MSGMODE);
	must(nng_stream_listener_set_bool(r->listener, NNG_OPT_WS_SEND_TEXT, text), NNG_OPT_WS_SEND_TEXT);
	must(nng_stream_listener_set_bool(r->listener, NNG_OPT_WS_RECV_TEXT, text), NNG_OPT_WS_RECV_TEXT);
	if (protocol != NULL) {
		must(nng_stream_listener_set_string(r->listener, NNG_OPT_WS_PROTOCOL, protocol), NNG_OPT_WS_PROTOCOL);
	}
	must(nng_aio_alloc(&r->aio, accept_cb, r), "aio_alloc");
	must(nng_stream_listener_listen(r->listener), "listen");
	nng_stream_listener_accept(r->listener, r->aio);
}

void
websocket_routes(const char *base)
{
	must(nng_mtx_alloc(&lock), "mtx_alloc");
	listen_at(base, "/ws", true, NULL);
	listen_at(base, "/ws/binary", false, NULL);
	listen_at(base, "/ws/chat", true, "chat");
}
