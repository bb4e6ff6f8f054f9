// W3. Freeing a dialer must come to an end when its dial can't make a request.
// build: -Wl,--wrap=nni_http_req_alloc

#include "wsutil.h"

int __wrap_nni_http_req_alloc(void **, const void *);

int
__wrap_nni_http_req_alloc(void **reqp, const void *url)
{
	(void) reqp;
	(void) url;
	return (NNG_ENOMEM);
}

int
main(void)
{
	nng_stream_dialer *d;
	op                 o;
	int                port;

	test_init();
	op_init(&o);
	port      = sink_start();
	test_step = "free after a dial that failed";
	for (int i = 0; i < 50; i++) {
		d = ws_dialer(port);
		nng_stream_dialer_dial(d, op_start(&o));
		nng_stream_dialer_free(d); // waits for the dial
		CHECK(op_wait(&o, 5000) == NNG_ENOMEM, "the dial does not end");
	}
	return (test_ok("the dialer is freed"));
}
