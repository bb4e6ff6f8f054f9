// S23. A dial over TLS, or of a WebSocket, that fails while it is being cancelled: what the
// cancellation function uses is still there. The thread that cancels is held back before the
// second lock that it takes; the first is that of the aio's queue.
// build: -Wl,--wrap=pthread_mutex_lock -Wl,--wrap=getaddrinfo

#include "testutil.h"

#include <netdb.h>

int __real_pthread_mutex_lock(pthread_mutex_t *);
int __wrap_pthread_mutex_lock(pthread_mutex_t *);
int __real_getaddrinfo(
    const char *, const char *, const struct addrinfo *, struct addrinfo **);
int __wrap_getaddrinfo(
    const char *, const char *, const struct addrinfo *, struct addrinfo **);

static volatile bool held, fail;
static __thread int  hold_at; // of the locks that this thread takes, 0 for none

int
__wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	if ((hold_at != 0) && (--hold_at == 0)) {
		held = true;
		sleep_ms(500);
	}
	return (__real_pthread_mutex_lock(m));
}

int
__wrap_getaddrinfo(const char *host, const char *serv, const struct addrinfo *hints,
    struct addrinfo **res)
{
	if (fail) {
		sleep_ms(200);
		return (EAI_NONAME);
	}
	return (__real_getaddrinfo(host, serv, hints, res));
}

static void *
cancel_main(void *arg)
{
	hold_at = 2;
	nng_aio_cancel(arg);
	return (NULL);
}

// dial starts a dial, and begins to cancel it. Then it fails: because the host is not found,
// or because the server, if there is one, closes.
static void
dial(const char *url, int lfd)
{
	nng_stream_dialer *d;
	op                 o;
	pthread_t          t;
	int                fd = -1;
	int                rv;

	MUST(nng_stream_dialer_alloc(&d, url) == 0);
	op_init(&o);
	held = false;
	nng_stream_dialer_dial(d, op_start(&o));
	if (lfd != -1) {
		MUST((fd = accept(lfd, NULL, NULL)) >= 0);
	}
	sleep_ms(50);
	MUST(pthread_create(&t, NULL, cancel_main, o.aio) == 0);
	for (uint64_t end = now_ms() + 5000; !held;) {
		MUST(now_ms() < end);
		sleep_ms(1);
	}
	if (fd != -1) {
		close(fd);
	}
	rv = op_wait(&o, 5000);
	CHECK((rv != -1) && (rv != 0), "the dial ends with %d", rv);
	MUST(pthread_join(t, NULL) == 0);
	nng_stream_dialer_close(d);
	nng_stream_dialer_free(d);
	nng_aio_free(o.aio);
}

int
main(void)
{
	char url[64];
	int  port, lfd;

	test_init();
	test_step = "a dial over TLS fails as it is cancelled";
	fail      = true;
	dial("tls+tcp://127.0.0.1:9", -1);
	fail      = false;
	test_step = "a WebSocket's dial fails as it is cancelled";
	lfd       = tcp_listen(&port);
	(void) snprintf(url, sizeof(url), "ws://127.0.0.1:%d/", port);
	dial(url, lfd);
	return (test_ok("a dial that fails is not cancelled on what is freed"));
}
