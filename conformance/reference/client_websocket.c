// The WebSocket part of the reference client: nng's streams, as its transport for WebSockets uses
// them. A stream does not tell whether a message was text or binary, and sends one of the two: for
// paths that begin with /ws/binary that is binary, else text. It does not tell the code of a close
// frame either.

#include "client.h"
#include "websocket.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <nng/nng.h>

static int
dial(const char *url, bool text, nng_aio *aio, nng_stream **s)
{
	nng_stream_dialer *d;
	int                rv;

	if ((rv = nng_stream_dialer_alloc(&d, url)) != 0) {
		return (rv);
	}
	if (((rv = nng_stream_dialer_set_bool(d, OPT_MSGMODE, true)) == 0) &&
	    ((rv = nng_stream_dialer_set_bool(d, NNG_OPT_WS_SEND_TEXT, text)) == 0) &&
	    ((rv = nng_stream_dialer_set_bool(d, NNG_OPT_WS_RECV_TEXT, text)) == 0) &&
	    ((strstr(url, "/ws/chat") == NULL) ||
	        ((rv = nng_stream_dialer_set_string(d, NNG_OPT_WS_PROTOCOL, "chat")) == 0))) {
		nng_stream_dialer_dial(d, aio);
		nng_aio_wait(aio);
		if ((rv = nng_aio_result(aio)) == 0) {
			*s = nng_aio_get_output(aio, 0);
		}
	}
	nng_stream_dialer_free(d);
	return (rv);
}

// receive returns the next message, or NULL at the end of the connection.
static nng_msg *
receive(nng_stream *s, nng_aio *aio)
{
	bool b;

	nng_aio_set_msg(aio, NULL);
	nng_stream_recv(s, aio);
	// In the library as published a receive that begins on a connection that has ended never
	// returns (defect W20).
	if (nng_stream_get_bool(s, NNG_OPT_WS_RECV_TEXT, &b) == NNG_ECLOSED) {
		nng_aio_cancel(aio);
	}
	nng_aio_wait(aio);
	return (nng_aio_result(aio) == 0 ? nng_aio_get_msg(aio) : NULL);
}

void
websocket_client(const char *url)
{
	bool        text  = strstr(url, "/ws/binary") == NULL;
	bool        first = true;
	nng_stream *s;
	nng_aio *   aio;
	nng_msg *   msg;
	int         rv;

	if ((rv = nng_aio_alloc(&aio, NULL, NULL)) != 0) {
		put_error(rv);
		return;
	}
	if ((rv = dial(url, text, aio, &s)) != 0) {
		nng_aio_free(aio);
		put_error(rv);
		return;
	}
	printf("{\"messages\":[");
	while ((msg = receive(s, aio)) != NULL) {
		printf("%s{\"type\":\"%s\",\"data\":", first ? "" : ",", text ? "text" : "binary");
		put_string(nng_msg_body(msg), nng_msg_len(msg));
		printf("}");
		first = false;
		nng_stream_send(s, aio); // the message is still in the aio
		nng_aio_wait(aio);
		if (nng_aio_result(aio) != 0) {
			nng_msg_free(msg);
			break;
		}
	}
	printf("]}\n");
	nng_stream_free(s);
	nng_aio_free(aio);
}
