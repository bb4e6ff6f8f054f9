// T4. No memory for a connection over TLS is an error like others, for a dial and for an
// accept.
// build: -Wl,--wrap=nni_alloc

#include "testutil.h"

void *__real_nni_alloc(size_t);
void *__wrap_nni_alloc(size_t);

static __thread int fail_at; // of the allocations of this thread, 0 for none

void *
__wrap_nni_alloc(size_t n)
{
	return (((fail_at != 0) && (--fail_at == 0)) ? NULL : __real_nni_alloc(n));
}

int
main(void)
{
	nng_stream_dialer *  d;
	nng_stream_listener *l;
	op                   o;

	test_init();
	MUST(nng_stream_dialer_alloc(&d, "tls+tcp://127.0.0.1:9") == 0);
	MUST(nng_stream_listener_alloc(&l, "tls+tcp://127.0.0.1:0") == 0);
	MUST(nng_stream_listener_listen(l) == 0);
	op_init(&o);
	for (int n = 1; n <= 2; n++) { // a buffer for what is sent, and one for what is read
		test_step = "a dial";
		fail_at   = n;
		nng_stream_dialer_dial(d, op_start(&o));
		MUST(fail_at == 0);
		CHECK(op_wait(&o, 5000) == NNG_ENOMEM, "the dial does not say it");
		test_step = "an accept";
		fail_at   = n;
		nng_stream_listener_accept(l, op_start(&o));
		MUST(fail_at == 0);
		CHECK(op_wait(&o, 5000) == NNG_ENOMEM, "the accept does not say it");
	}
	test_step = "the end";
	nng_stream_dialer_free(d);
	nng_stream_listener_free(l);
	nng_aio_free(o.aio);
	nng_fini();
	return (test_ok("no memory is an error like others"));
}
