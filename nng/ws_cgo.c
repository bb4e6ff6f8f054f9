#include "ws_cgo.h"

#include <string.h>

bool
nngo_ws_closed(nng_stream *s)
{
	bool b;

	// Every option is refused once the stream is closed; this one exists.
	return (nng_stream_get_bool(s, NNG_OPT_WS_RECV_TEXT, &b) ==
	    NNG_ECLOSED);
}

int
nngo_ws_dialer_alloc(nng_stream_dialer **d, const char *url)
{
	int rv;

	nngo_gather();
	rv = nng_stream_dialer_alloc(d, url);
	nngo_run();
	return (rv);
}

nngo_started
nngo_ws_dial(nng_stream_dialer *d, nngo_op *op)
{
	nngo_op_begin(op);
	nng_stream_dialer_dial(d, op->aio);
	return (nngo_op_started(op));
}

int
nngo_ws_listener_alloc(nng_stream_listener **l, const char *url)
{
	int rv;

	nngo_gather();
	rv = nng_stream_listener_alloc(l, url);
	nngo_run();
	return (rv);
}

int
nngo_ws_listen(nng_stream_listener *l)
{
	int rv;

	nngo_gather();
	rv = nng_stream_listener_listen(l);
	nngo_run();
	return (rv);
}

nngo_started
nngo_ws_accept(nng_stream_listener *l, nngo_op *op)
{
	nngo_op_begin(op);
	nng_stream_listener_accept(l, op->aio);
	return (nngo_op_started(op));
}

nngo_started
nngo_ws_send(nng_stream *s, nngo_op *op, const void *data, size_t len)
{
	nngo_started failed = { .done = true };
	nng_msg     *msg;

	if ((failed.result = nng_msg_alloc(&msg, len)) != 0) {
		return (failed);
	}
	if (len != 0) {
		memcpy(nng_msg_body(msg), data, len);
	}
	nng_aio_set_msg(op->aio, msg);
	nngo_op_begin(op);
	nng_stream_send(s, op->aio);
	return (nngo_op_started(op));
}

void
nngo_ws_sent(nngo_op *op)
{
	nng_msg *msg;

	// nng frees what it has sent, and leaves the rest to us.
	if ((msg = nng_aio_get_msg(op->aio)) != NULL) {
		nng_aio_set_msg(op->aio, NULL);
		nng_msg_free(msg);
	}
}

nngo_started
nngo_ws_recv(nng_stream *s, nngo_op *op)
{
	nng_aio_set_msg(op->aio, NULL);
	nngo_op_begin(op);
	nng_stream_recv(s, op->aio);
	// A receive that begins on a closed stream would never end. One that is cut
	// short by the close ends by itself, and so has one that found a message.
	if (nngo_ws_closed(s)) {
		nng_aio_cancel(op->aio);
	}
	return (nngo_op_started(op));
}

nng_msg *
nngo_ws_received(nngo_op *op)
{
	nng_msg *msg = nng_aio_get_msg(op->aio);

	nng_aio_set_msg(op->aio, NULL);
	return (msg);
}
