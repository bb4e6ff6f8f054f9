// W16. A cancel of a dial that comes when the dial has failed finds nothing.
// build: -Wl,--wrap=nni_aio_schedule

#include "wsutil.h"

typedef void (*cancel_fn)(nng_aio *, void *, int);
int __real_nni_aio_schedule(nng_aio *, cancel_fn, void *);
int __wrap_nni_aio_schedule(nng_aio *, cancel_fn, void *);

static nng_aio *volatile target;
static cancel_fn fn;
static void *    arg;

// What a cancel or a time-out takes from the aio before it calls it, unlocked.
int
__wrap_nni_aio_schedule(nng_aio *aio, cancel_fn f, void *a)
{
	if (aio == target) {
		fn  = f;
		arg = a;
	}
	return (__real_nni_aio_schedule(aio, f, a));
}

int
main(void)
{
	nng_stream_dialer *d;
	op                 o;
	int                port, rv;
	int                fd = tcp_listen(&port);

	test_init();
	close(fd); // nobody listens there any more
	op_init(&o);
	d         = ws_dialer(port);
	target    = o.aio;
	test_step = "the dial";
	nng_stream_dialer_dial(d, op_start(&o));
	rv = op_wait(&o, 5000);
	MUST(rv == NNG_ECONNREFUSED);
	MUST(fn != NULL);
	sleep_ms(300); // the connection is reaped
	test_step = "the cancel";
	o.done    = false;
	fn(o.aio, arg, NNG_ECANCELED);
	CHECK(op_wait(&o, 100) == -1, "the dial ends twice");
	nng_aio_free(o.aio);
	nng_stream_dialer_free(d);
	return (test_ok("a late cancel does nothing"));
}
