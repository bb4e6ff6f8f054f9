// X12. A cancel of a dial or an accept over TLS that comes as that begins is not lost.
// build: -Wl,--wrap=nng_stream_dialer_dial -Wl,--wrap=nng_stream_listener_accept

#include "testutil.h"

void __real_nng_stream_dialer_dial(nng_stream_dialer *, nng_aio *);
void __wrap_nng_stream_dialer_dial(nng_stream_dialer *, nng_aio *);
void __real_nng_stream_listener_accept(nng_stream_listener *, nng_aio *);
void __wrap_nng_stream_listener_accept(nng_stream_listener *, nng_aio *);

static op            o;
static volatile bool cancelled;

static void *
cancel_main(void *arg)
{
	nng_aio_cancel(arg);
	cancelled = true;
	return (NULL);
}

// pause is called for what the test starts, and in it for what TLS starts.
static void
pause_below(const nng_aio *aio)
{
	pthread_t t;

	if (aio == o.aio) {
		return;
	}
	MUST(pthread_create(&t, NULL, cancel_main, o.aio) == 0);
	MUST(pthread_detach(t) == 0);
	for (int i = 0; i < 300 && !cancelled; i++) {
		sleep_ms(1); // it may have to wait for us
	}
}

void
__wrap_nng_stream_dialer_dial(nng_stream_dialer *d, nng_aio *aio)
{
	pause_below(aio);
	__real_nng_stream_dialer_dial(d, aio);
}

void
__wrap_nng_stream_listener_accept(nng_stream_listener *l, nng_aio *aio)
{
	pause_below(aio);
	__real_nng_stream_listener_accept(l, aio);
}

int
main(void)
{
	nng_stream_listener *l;
	nng_stream_dialer *  d;
	nng_url *            url;
	char                 text[64];
	int                  port, lfd, rv;

	test_init();
	op_init(&o);
	test_step = "an accept";
	MUST(nng_stream_listener_alloc(&l, "tls+tcp://127.0.0.1:0") == 0);
	MUST(nng_stream_listener_listen(l) == 0);
	nng_stream_listener_accept(l, op_start(&o));
	CHECK(op_wait(&o, 5000) == NNG_ECANCELED, "the cancel of an accept is lost");
	nng_stream_listener_free(l);

	test_step = "a dial";
	lfd       = tcp_listen(&port);
	(void) snprintf(text, sizeof(text), "tls+tcp://127.0.0.1:%d", port);
	MUST(nng_url_parse(&url, text) == 0);
	MUST(nng_stream_dialer_alloc_url(&d, url) == 0);
	nng_url_free(url);
	cancelled = false;
	nng_stream_dialer_dial(d, op_start(&o));
	rv = op_wait(&o, 5000);
	CHECK((rv == NNG_ECANCELED) || (rv == 0), "the dial ends with %d", rv); // it may be faster
	if (rv == 0) {
		nng_stream_free(nng_aio_get_output(o.aio, 0));
	}
	nng_stream_dialer_free(d);
	close(lfd);
	nng_aio_free(o.aio);
	return (test_ok("a cancel is not lost, however early"));
}
