// CL16. A transaction is cancelled at any moment, against a peer that never
// answers. A cancel that comes between two steps of the transaction must not
// be lost: every transaction must end soon.

#include "testutil.h"

#define NTHR 4
#define RUN_MS 6000

static int          port;
static volatile int total;

static void *
work(void *arg)
{
	unsigned seed = (unsigned) (intptr_t) arg + 1;
	uint64_t end  = now_ms() + RUN_MS;
	op       o;
	op_init(&o);
	for (int i = 0; now_ms() < end; i++) {
		nng_http_client *cli  = client_open(port, arg == (void *) 3);
		nng_http_req *   req  = make_req(port, "/");
		nng_http_conn *  conn = NULL;
		nng_http_res *   res;
		int              rv;
		MUST(nng_http_res_alloc(&res) == 0);
		if (i % 2) {
			nng_http_client_transact(cli, req, res, op_start(&o));
			spin_us(rand_r(&seed) % 300);
		} else {
			conn = client_connect(cli);
			nng_http_conn_transact(conn, req, res, op_start(&o));
			spin_us(rand_r(&seed) % 60);
		}
		nng_aio_cancel(o.aio);
		rv = op_wait(&o, 5000);
		CHECK(rv != -1, "a cancelled transaction (%s) does not end",
		    conn ? "on a connection" : "of a client");
		CHECK(rv == NNG_ECANCELED, "cancelled transaction ends with %s",
		    nng_strerror(rv));
		if (conn != NULL) {
			nng_http_conn_close(conn);
		}
		nng_http_client_free(cli);
		nng_http_req_free(req);
		nng_http_res_free(res);
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
	test_step = "cancelled transactions";
	for (int i = 0; i < NTHR; i++) {
		MUST(pthread_create(&t[i], NULL, work, (void *) (intptr_t) i) ==
		    0);
	}
	for (int i = 0; i < NTHR; i++) {
		pthread_join(t[i], NULL);
	}
	printf("%d transactions, ", total);
	for (int i = 0; i < 300 && count_fds() > 300; i++) {
		sleep_ms(10);
	}
	CHECK(count_fds() < 300, "sockets of cancelled transactions stay open");
	return (test_ok("every cancelled transaction ended"));
}
