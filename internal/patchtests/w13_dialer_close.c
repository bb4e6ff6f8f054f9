// W13. Closing a dialer ends its dial, also between two steps of the handshake.
// build: -Wl,--wrap=nni_http_req_alloc

#include "wsutil.h"

int __real_nni_http_req_alloc(void **, const void *);
int __wrap_nni_http_req_alloc(void **, const void *);

static nng_stream_dialer *volatile target;
static volatile bool closed;

static void *
close_target(void *arg)
{
	nng_stream_dialer_close(arg);
	closed = true;
	return (NULL);
}

// The connection is there and the request is about to be made.
int
__wrap_nni_http_req_alloc(void **reqp, const void *url)
{
	nng_stream_dialer *d = target;
	pthread_t          t;

	if (d != NULL) {
		target = NULL;
		MUST(pthread_create(&t, NULL, close_target, d) == 0);
		// It may have to wait for this step.
		for (int i = 0; i < 300 && !closed; i++) {
			sleep_ms(1);
		}
	}
	return (__real_nni_http_req_alloc(reqp, url));
}

int
main(void)
{
	nng_stream_listener *l;
	nng_stream_dialer *  d;
	op                   o;
	int                  port, rv;
	unsigned             seed = 1;

	test_init();
	op_init(&o);
	d         = ws_dialer(sink_start());
	test_step = "close before the request";
	target    = d;
	nng_stream_dialer_dial(d, op_start(&o));
	rv = op_wait(&o, 5000);
	CHECK(rv != -1, "the dial does not end");
	CHECK(rv == NNG_ECLOSED, "the result is %s", nng_strerror(rv));
	while (!closed) {
		sleep_ms(1);
	}
	nng_stream_dialer_free(d);

	// At any moment.
	l = ws_listen(&port);
	for (int i = 0; i < 1000; i++) {
		d = ws_dialer(port);
		nng_stream_dialer_dial(d, op_start(&o));
		spin_us(rand_r(&seed) % 1500);
		nng_stream_dialer_close(d);
		rv = op_wait(&o, 5000);
		CHECK(rv != -1, "the dial does not end");
		if (rv == 0) {
			nng_stream_free(nng_aio_get_output(o.aio, 0));
		}
		nng_stream_dialer_free(d);
	}
	nng_stream_listener_free(l);
	return (test_ok("every dial has ended"));
}
