// S9. A static handler is removed and freed while its data is still being
// written to a slow reader. The data must stay until the response is written,
// and must be freed in the end.

#include "testutil.h"

#define SIZE (12u << 20)

static volatile int freed_big;

// The library frees the data of the handler through this; the real one is in
// an archive member that is then not linked.
void *
nni_alloc(size_t sz)
{
	return (sz > 0 ? malloc(sz) : NULL);
}

void *
nni_zalloc(size_t sz)
{
	return (sz > 0 ? calloc(1, sz) : NULL);
}

void
nni_free(void *p, size_t sz)
{
	if (sz == SIZE) {
		memset(p, 'X', sz);
		freed_big++;
	}
	free(p);
}

int
main(void)
{
	server            s;
	nng_http_handler *h;
	const char *      head = "GET /big HTTP/1.1\r\nHost: x\r\n\r\n";
	char *            data = malloc(SIZE);
	char *            got  = malloc(SIZE + 4096);
	char *            p;
	size_t            len = 0;
	int               fd;

	test_init();
	for (size_t i = 0; i < SIZE; i++) {
		data[i] = (char) ('a' + i % 23);
	}
	server_open(&s, false);
	server_start(&s);
	MUST(nng_http_handler_alloc_static(
	         &h, "/big", data, SIZE, "text/plain") == 0);
	MUST(nng_http_server_add_handler(s.srv, h) == 0);

	fd = tcp_connect(s.port, 65536);
	MUST(send_all(fd, head, strlen(head)));
	sleep_ms(300); // the socket buffers are full now
	MUST(nng_http_server_del_handler(s.srv, h) == 0);
	nng_http_handler_free(h);
	CHECK(freed_big == 0, "data freed while it is being written");
	test_step = "reading the response";
	for (;;) {
		ssize_t n = recv(fd, got + len, SIZE + 4096 - len, 0);
		MUST(n > 0);
		len += (size_t) n;
		if ((p = strstr(got, "\r\n\r\n")) != NULL &&
		    len >= (size_t) (p + 4 - got) + SIZE) {
			break;
		}
	}
	CHECK(memcmp(p + 4, data, SIZE) == 0, "response differs from the data");
	close(fd);
	for (int i = 0; i < 300 && freed_big == 0; i++) {
		sleep_ms(10);
	}
	CHECK(freed_big == 1, "data never freed");
	return (test_ok("static data lives until the response is written"));
}
