// S8. A handler is removed and freed while the server still waits for the body
// of a request to it. The handler must live until that request is done, also
// when the connection ends before the body came.

#include "testutil.h"

static volatile bool called, freed, called_after;

static void
dtor(void *arg)
{
	(void) arg;
	freed = true;
}

static void
cb(nng_aio *aio)
{
	called_after = freed;
	called       = true;
	reply(aio, "done", 4);
}

static nng_http_handler *
add(server *s)
{
	nng_http_handler *h;
	freed = called = false;
	MUST(nng_http_handler_alloc(&h, "/post", cb) == 0);
	MUST(nng_http_handler_set_method(h, "POST") == 0);
	MUST(nng_http_handler_set_data(h, NULL, dtor) == 0);
	MUST(nng_http_server_add_handler(s->srv, h) == 0);
	return (h);
}

int
main(void)
{
	server            s;
	nng_http_handler *h;
	const char *      head =
	    "POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n1";
	char    buf[1000];
	int     fd;
	ssize_t n;

	test_init();
	server_open(&s, false);
	server_start(&s);

	for (int i = 0; i < 2; i++) {
		h  = add(&s);
		fd = tcp_connect(s.port, 0);
		MUST(send_all(fd, head, strlen(head)));
		sleep_ms(200);
		MUST(nng_http_server_del_handler(s.srv, h) == 0);
		nng_http_handler_free(h);
		CHECK(!freed, "handler destroyed while a body is awaited");
		if (i == 0) {
			MUST(send_all(fd, "2345", 4));
			n = recv(fd, buf, sizeof(buf), 0);
			MUST(n > 0);
			CHECK(!called_after, "handler called after its end");
			CHECK(called, "handler not called");
		}
		close(fd);
		for (int j = 0; j < 300 && !freed; j++) {
			sleep_ms(10);
		}
		CHECK(freed, "handler never destroyed");
	}
	return (test_ok("a handler lives as long as its requests"));
}
