// W20. When the connection of a WebSocket has failed, or its peer has closed it, all that
// waits for it ends, and so does what is started later.

#include "wsutil.h"

// ws_open makes a connection to a listener that accepts it.
static nng_stream *
ws_open(nng_stream_listener *l, int port, int *fd)
{
	char head[1000];
	op   o;

	op_init(&o);
	nng_stream_listener_accept(l, op_start(&o));
	*fd = ws_ask(port);
	ws_answer(*fd, head, sizeof(head));
	MUST(op_wait(&o, 5000) == 0);
	return (nng_aio_get_output(o.aio, 0));
}

int
main(void)
{
	static const uint8_t frames[] = { 0x82, 0x82, 0, 0, 0, 0, 'h', 'i', 0x88, 0x80, 0, 0,
		0, 0 };
	static char          large[32 << 20]; // more than any system holds
	nng_stream_listener *l;
	nng_stream *         s;
	op                   a, b;
	int                  port, fd;
	char                 buf[100];

	test_init();
	op_init(&a);
	op_init(&b);
	l = ws_listen(&port);
	MUST(nng_stream_listener_set_size(l, NNG_OPT_WS_SENDMAXFRAME, 0) == 0);

	test_step = "a receive after the end";
	s         = ws_open(l, port, &fd);
	op_buf(&a, buf, sizeof(buf));
	nng_stream_recv(s, op_start(&a));
	MUST(send_all(fd, frames, sizeof(frames)));
	MUST(op_wait(&a, 5000) == 0 && nng_aio_count(a.aio) == 2);
	while (recv(fd, buf, sizeof(buf), 0) > 0) { // the answer to the close frame, and the end
	}
	close(fd);
	op_buf(&a, buf, sizeof(buf));
	nng_stream_recv(s, op_start(&a));
	CHECK(op_wait(&a, 5000) == NNG_ECLOSED, "a receive after the end does not end");
	nng_stream_free(s);

	test_step = "two sends and a reset";
	s         = ws_open(l, port, &fd);
	op_buf(&a, large, sizeof(large));
	op_buf(&b, large, sizeof(large));
	nng_stream_send(s, op_start(&a));
	nng_stream_send(s, op_start(&b));
	sleep_ms(200);
	close_rst(fd);
	CHECK(op_wait(&a, 5000) > 0, "the first send does not end");
	CHECK(op_wait(&b, 5000) > 0, "the second send does not end");
	nng_stream_free(s);
	nng_stream_listener_free(l);
	return (test_ok("everything ends"));
}
