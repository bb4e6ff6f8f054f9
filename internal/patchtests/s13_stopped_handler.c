// S13. A server stops just as it has found the handler for a request. The
// handler must be freed with the server all the same, and its data with it.

#include "testutil.h"

#define PATH "/a-path-whose-length-no-other-allocation-has-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static volatile int copies; // of the path, so far
static volatile int paused, resume;
static volatile int freed;
static int          data;

// The server copies the path just before it looks for the handler. The real
// one is in an archive member that is then not linked.
void *
nni_alloc(size_t sz)
{
	if (sz == sizeof(PATH) && ++copies == 2) {
		paused = 1;
		while (!resume) {
			sleep_ms(1);
		}
	}
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
	(void) sz;
	free(p);
}

static void
answer(nng_aio *aio)
{
	nng_aio_finish(aio, 0);
}

static void
data_free(void *arg)
{
	(void) arg;
	freed++;
}

static void *
stop(void *srv)
{
	nng_http_server_stop(srv);
	nng_http_server_release(srv);
	return (NULL);
}

int
main(void)
{
	static const char request[] = "GET " PATH " HTTP/1.1\r\nHost: x\r\n\r\n";
	server            s;
	nng_http_handler *h;
	pthread_t         thr;
	int               fd;

	test_init();
	server_open(&s, false);
	server_start(&s);
	MUST(nng_http_handler_alloc(&h, "", answer) == 0);
	MUST(nng_http_handler_set_tree(h) == 0);
	MUST(nng_http_handler_set_data(h, &data, data_free) == 0);
	MUST(nng_http_server_add_handler(s.srv, h) == 0);

	fd = tcp_connect(s.port, 0);
	MUST(send_all(fd, request, sizeof(request) - 1));
	test_step = "waiting for the request";
	while (!paused) {
		sleep_ms(1);
	}
	MUST(pthread_create(&thr, NULL, stop, s.srv) == 0);
	sleep_ms(300); // it has closed the connection
	resume    = 1;
	test_step = "stopping";
	MUST(pthread_join(thr, NULL) == 0);
	for (int i = 0; i < 500 && freed == 0; i++) {
		sleep_ms(10);
	}
	CHECK(freed == 1, "the handler was never freed");
	close(fd);
	return (test_ok("a handler ends with its server"));
}
