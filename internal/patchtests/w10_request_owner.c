// W10. The server owns the request of a handshake that fails.
// build: -Wl,--wrap=nni_http_res_set_status -Wl,--wrap=nni_aio_alloc

#include "wsutil.h"

typedef int (*hook)(void *, nng_http_req *, nng_http_res *);
void nni_ws_listener_hook(void *, hook, void *);
int  __real_nni_http_res_set_status(nng_http_res *, uint16_t);
int  __wrap_nni_http_res_set_status(nng_http_res *, uint16_t);
int  __real_nni_aio_alloc(nng_aio **, void (*)(void *), void *);
int  __wrap_nni_aio_alloc(nng_aio **, void (*)(void *), void *);

static volatile bool    starve;
static __thread int     countdown;
static volatile int     fail_at;

// The handler sets the status, and then allocates the connection.
int
__wrap_nni_http_res_set_status(nng_http_res *res, uint16_t status)
{
	if (starve && status == NNG_HTTP_STATUS_SWITCHING) {
		countdown = fail_at;
	}
	return (__real_nni_http_res_set_status(res, status));
}

int
__wrap_nni_aio_alloc(nng_aio **aiop, void (*cb)(void *), void *arg)
{
	if (countdown > 0 && --countdown == 0) {
		return (NNG_ENOMEM);
	}
	return (__real_nni_aio_alloc(aiop, cb, arg));
}

static int
refuse(void *arg, nng_http_req *req, nng_http_res *res)
{
	(void) arg;
	(void) req;
	return (nng_http_res_set_status(res, NNG_HTTP_STATUS_FORBIDDEN));
}

static void
expect(int port, const char *status)
{
	char buf[2000];
	int  n = 0;
	int  fd = ws_ask(port);

	while (n < 13) {
		ssize_t got = recv(fd, buf + n, sizeof(buf) - 1 - (size_t) n, 0);

		CHECK(got > 0, "no answer");
		n += (int) got;
	}
	buf[n] = '\0';
	CHECK(strncmp(buf + 9, status, 3) == 0, "the answer is %.20s", buf);
	close(fd);
}

int
main(void)
{
	nng_stream_listener *l;
	int                  port;

	test_init();
	l         = ws_listen(&port);
	test_step = "no memory";
	starve    = true;
	for (fail_at = 1; fail_at <= 5; fail_at++) {
		expect(port, "500");
	}
	starve    = false;
	test_step = "a hook that answers";
	nni_ws_listener_hook(l, refuse, NULL);
	expect(port, "403");
	nni_ws_listener_hook(l, NULL, NULL);
	expect(port, "101");
	nng_stream_listener_free(l);
	return (test_ok("each request is freed once"));
}
