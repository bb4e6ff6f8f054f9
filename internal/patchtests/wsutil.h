// Helpers for the tests of WebSocket streams.

#ifndef WSUTIL_H
#define WSUTIL_H

#include "testutil.h"

// ws_listen makes a listener on a port of its own, for /ws.
static inline nng_stream_listener *
ws_listen(int *port)
{
	nng_stream_listener *l;
	nng_sockaddr         sa;

	MUST(nng_stream_listener_alloc(&l, "ws://127.0.0.1:0/ws") == 0);
	MUST(nng_stream_listener_listen(l) == 0);
	MUST(nng_stream_listener_get_addr(l, NNG_OPT_LOCADDR, &sa) == 0);
	*port = ntohs(sa.s_in.sa_port);
	return (l);
}

static inline nng_stream_dialer *
ws_dialer(int port)
{
	char               url[100];
	nng_stream_dialer *d;

	snprintf(url, sizeof(url), "ws://127.0.0.1:%d/ws", port);
	MUST(nng_stream_dialer_alloc(&d, url) == 0);
	return (d);
}

// ws_ask connects to a listener and sends the client's part of the handshake.
static inline int
ws_ask(int port)
{
	char ask[300];
	int  fd = tcp_connect(port, 0);

	snprintf(ask, sizeof(ask),
	    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
	    port);
	MUST(send_all(fd, ask, strlen(ask)));
	return (fd);
}

// ws_answer reads the head of the listener's answer.
static inline void
ws_answer(int fd, char *head, size_t size)
{
	size_t n = 0;

	do {
		MUST(n + 1 < size && recv(fd, head + n, 1, 0) == 1);
		head[++n] = '\0';
	} while (n < 4 || strcmp(head + n - 4, "\r\n\r\n") != 0);
	MUST(strncmp(head, "HTTP/1.1 101 ", 13) == 0);
}

#endif
