// CL16, dial path. A connect is cancelled at any moment and the same client is
// used for the next connect at once. The next connect must end, with a usable
// connection when it says so, and must not get the fate of the cancelled one.

#include "testutil.h"

#define NTHR 4
#define RUN_MS 5000

static int          port;
static volatile int total;

static void *
work(void *arg)
{
	unsigned         seed = (unsigned) (intptr_t) arg + 1;
	uint64_t         end  = now_ms() + RUN_MS;
	bool             tls  = ((intptr_t) arg % 2) != 0;
	nng_http_client *cli  = client_open(port, tls);
	op               o, o2;
	op_init(&o);
	op_init(&o2);
	while (now_ms() < end) {
		int rv;
		nng_http_client_connect(cli, op_start(&o));
		spin_us(rand_r(&seed) % 250);
		nng_aio_cancel(o.aio);
		if (rand_r(&seed) % 2) {
			rv = op_wait(&o, 5000);
			CHECK(rv != -1, "a cancelled connect does not end");
		}
		nng_http_client_connect(cli, op_start(&o2));
		rv = op_wait(&o, 5000);
		CHECK(rv != -1, "a cancelled connect does not end");
		CHECK(rv == 0 || rv == NNG_ECANCELED, "cancelled connect: %s",
		    nng_strerror(rv));
		if (rv == 0) {
			nng_http_conn_close(nng_aio_get_output(o.aio, 0));
		}
		rv = op_wait(&o2, 5000);
		CHECK(rv != -1, "the connect after a cancelled one hangs");
		CHECK(rv == 0, "the connect after a cancelled one fails: %s",
		    nng_strerror(rv));
		MUST(nng_aio_get_output(o2.aio, 0) != NULL);
		nng_http_conn_close(nng_aio_get_output(o2.aio, 0));
		__sync_fetch_and_add(&total, 1);
	}
	nng_http_client_free(cli);
	return (NULL);
}

int
main(void)
{
	pthread_t t[NTHR];
	test_init();
	port      = sink_start();
	test_step = "connect after a cancelled connect";
	for (int i = 0; i < NTHR; i++) {
		MUST(pthread_create(&t[i], NULL, work, (void *) (intptr_t) i) ==
		    0);
	}
	for (int i = 0; i < NTHR; i++) {
		pthread_join(t[i], NULL);
	}
	printf("%d connects, ", total);
	for (int i = 0; i < 300 && count_fds() > 300; i++) {
		sleep_ms(10);
	}
	CHECK(count_fds() < 300, "sockets of cancelled connects stay open");
	return (test_ok("every connect after a cancelled one worked"));
}
