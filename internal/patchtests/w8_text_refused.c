// W8. A text message that is not wanted is not delivered.

#include "wsutil.h"

int
main(void)
{
	// "text", masked with zeros, then the end of the connection.
	static const uint8_t text[] = { 0x81, 0x84, 0, 0, 0, 0, 't', 'e', 'x', 't' };
	nng_stream_listener *l;
	nng_stream *         s;
	op                   o, r;
	int                  port, fd, rv;
	char                 head[1000];
	char                 buf[100];

	test_init();
	op_init(&o);
	op_init(&r);
	l = ws_listen(&port);
	for (int i = 0; i < 2; i++) {
		test_step = i == 0 ? "a receive that waits" : "a receive that comes later";
		nng_stream_listener_accept(l, op_start(&o));
		fd = ws_ask(port);
		ws_answer(fd, head, sizeof(head));
		MUST(op_wait(&o, 5000) == 0);
		s = nng_aio_get_output(o.aio, 0);
		// The stream reads while somebody waits, and one frame ahead.
		op_buf(&r, buf, i == 0 ? sizeof(buf) : 1);
		nng_stream_recv(s, op_start(&r));
		if (i == 0) {
			MUST(send_all(fd, text, sizeof(text)));
			rv = op_wait(&r, 5000);
		} else {
			static const uint8_t binary[] = { 0x82, 0x81, 0, 0, 0, 0, 'b' };
			uint8_t              closed;

			MUST(send_all(fd, binary, sizeof(binary)));
			MUST(op_wait(&r, 5000) == 0);
			MUST(send_all(fd, text, sizeof(text)));
			MUST(recv(fd, &closed, 1, 0) == 1 && closed == 0x88); // 1003
			op_buf(&r, buf, sizeof(buf));
			nng_aio_set_timeout(r.aio, 200);
			nng_stream_recv(s, op_start(&r));
			rv = op_wait(&r, 5000);
		}
		CHECK(rv != 0, "the text is delivered");
		close(fd);
		nng_stream_free(s);
	}
	return (test_ok("text is refused"));
}
