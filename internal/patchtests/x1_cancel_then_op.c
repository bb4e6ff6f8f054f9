// A read or write on an HTTP connection is cancelled, and the next one is
// started at once. The connection is of no use any more (that is by design),
// but the new operation must end with an error, and nothing may crash.

#include "testutil.h"

#define RUN_MS 4000
#define NTHR 4

static int          port;
static volatile int total;

static void *
work(void *arg)
{
	unsigned         seed = (unsigned) (intptr_t) arg + 1;
	uint64_t         end  = now_ms() + RUN_MS;
	bool             tls  = ((intptr_t) arg % 4) == 3;
	nng_http_client *cli  = client_open(port, tls);
	char *           big  = calloc(1, 1 << 20);
	op               o, o2;
	op_init(&o);
	op_init(&o2);
	for (int i = 0; now_ms() < end; i++) {
		char           buf[100], buf2[100];
		nng_http_conn *conn = client_connect(cli);
		int            rv;
		void (*f)(nng_http_conn *, nng_aio *) =
		    (i % 2) ? nng_http_conn_read : nng_http_conn_write_all;
		if (i % 2) {
			op_buf(&o, buf, sizeof(buf));
			op_buf(&o2, buf2, sizeof(buf2));
		} else {
			// fill the socket first
			op_buf(&o, big, 1 << 20);
			op_buf(&o2, big, 1 << 20);
			for (int n = 0; n < 20; n++) {
				nng_aio_set_timeout(o.aio, 20);
				nng_http_conn_write_all(conn, op_start(&o));
				if ((rv = op_wait(&o, 3000)) != 0) {
					break;
				}
			}
			CHECK(rv != -1, "a write that timed out does not end");
			nng_aio_set_timeout(o.aio, NNG_DURATION_INFINITE);
			op_buf(&o, big, 1 << 20);
		}
		if (i % 2) {
			f(conn, op_start(&o));
			spin_us(rand_r(&seed) % 30);
			nng_aio_cancel(o.aio);
		}
		f(conn, op_start(&o2));
		rv = op_wait(&o, 3000);
		CHECK(rv != -1, "a cancelled operation does not end");
		rv = op_wait(&o2, 3000);
		CHECK(rv != -1, "an operation after a cancelled one hangs");
		CHECK(rv != 0, "an operation after a cancelled one succeeds");
		CHECK(conn_close_bounded(conn, 3000), "hangs: conn_close");
		__sync_fetch_and_add(&total, 1);
	}
	return (NULL);
}

int
main(void)
{
	pthread_t t[NTHR];
	test_init();
	port      = sink_start();
	test_step = "operation after a cancelled one";
	for (int i = 0; i < NTHR; i++) {
		MUST(pthread_create(&t[i], NULL, work, (void *) (intptr_t) i) ==
		    0);
	}
	for (int i = 0; i < NTHR; i++) {
		pthread_join(t[i], NULL);
	}
	printf("%d rounds, ", total);
	return (test_ok("operations after a cancelled one end in an error"));
}
