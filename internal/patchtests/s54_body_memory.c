// S54. The memory for a body that is collected grows with what has come of it, and the body
// arrives whole.

#include "testutil.h"

#include <malloc.h>

extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

#define CONNS 100
#define MAX (8 << 20)

static char  sent[MAX];
static volatile int wrong = -1;

static size_t
in_use(void)
{
	struct mallinfo2 m;

	if (__sanitizer_get_current_allocated_bytes != NULL) {
		return (__sanitizer_get_current_allocated_bytes());
	}
	m = mallinfo2();
	return (m.uordblks + m.hblkhd);
}

static void
body_cb(nng_aio *aio)
{
	void * data;
	size_t len;

	nng_http_req_get_data(nng_aio_get_input(aio, 0), &data, &len);
	wrong = (len > MAX) || (memcmp(data, sent, len) != 0);
	reply(aio, "ok", 2);
}

static void
send_head(int fd, size_t len)
{
	char head[128];

	(void) snprintf(head, sizeof(head),
	    "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", len);
	MUST(send_all(fd, head, strlen(head)));
}

int
main(void)
{
	static const size_t sizes[] = { 1, 16383, 16384, 16385, 32768, 32769, 100000, MAX };
	server              s;
	nng_http_handler *  h;
	int                 fds[CONNS];
	size_t              before;
	size_t              more;
	char                buf[256];

	test_init();
	server_open(&s, false);
	MUST(nng_http_handler_alloc(&h, "/body", body_cb) == 0);
	MUST(nng_http_handler_set_method(h, "POST") == 0);
	MUST(nng_http_handler_collect_body(h, true, MAX) == 0);
	MUST(nng_http_server_add_handler(s.srv, h) == 0);
	server_start(&s);
	for (size_t i = 0; i < MAX; i++) {
		sent[i] = (char) (i * 7 + i / 251);
	}

	test_step = "whole bodies";
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int     fd = tcp_connect(s.port, 0);
		ssize_t n;

		for (int again = 0; again < 2; again++) {
			wrong = -1;
			send_head(fd, sizes[i]);
			MUST(send_all(fd, sent, sizes[i] / 2));
			sleep_ms(5);
			MUST(send_all(fd, sent + sizes[i] / 2, sizes[i] - sizes[i] / 2));
			n = recv(fd, buf, sizeof(buf) - 1, 0);
			MUST(n > 12);
			CHECK(memcmp(buf, "HTTP/1.1 200", 12) == 0, "%zu bytes: %.12s", sizes[i], buf);
			CHECK(wrong == 0, "%zu bytes arrive as others", sizes[i]);
		}
		close(fd);
	}

	test_step = "bodies that are announced";
	sleep_ms(100);
	before = in_use();
	for (int i = 0; i < CONNS; i++) {
		fds[i] = tcp_connect(s.port, 0);
		send_head(fds[i], MAX);
		MUST(send_all(fds[i], "x", 1));
	}
	sleep_ms(500);
	more = in_use() - before;
	CHECK(more < CONNS * 100000, "%d bytes of bodies hold %zu", CONNS, more);
	for (int i = 0; i < CONNS; i++) {
		close(fds[i]);
	}
	return (test_ok("memory grows with what has come"));
}
