// W25. Small reads find in the connection's buffer what came with the ones before, and all
// arrives in order, whatever the sizes of the reads.

#include "testutil.h"

extern bool nni_http_conn_buffered(nng_http_conn *) __attribute__((weak));

static nng_http_conn *conn;
static op             o;

static size_t
read_some(void *buf, size_t size, bool all)
{
	int rv;

	op_buf(&o, buf, size);
	if (all) {
		nng_http_conn_read_all(conn, op_start(&o));
	} else {
		nng_http_conn_read(conn, op_start(&o));
	}
	CHECK((rv = op_wait(&o, 5000)) == 0, "a read of %zu: %d", size, rv);
	return (nng_aio_count(o.aio));
}

static void *
write_main(void *arg)
{
	unsigned char block[1500];
	unsigned      at = 0;

	for (int i = 0; i < 400; i++) {
		size_t n = 1 + (size_t) (i * 37) % sizeof(block);
		for (size_t j = 0; j < n; j++, at++) {
			block[j] = (unsigned char) (at * 31 + at / 256);
		}
		if (!send_all((int) (intptr_t) arg, block, n)) {
			break;
		}
	}
	shutdown((int) (intptr_t) arg, SHUT_WR);
	return (NULL);
}

int
main(void)
{
	int              port;
	int              listener = tcp_listen(&port);
	int              peer;
	nng_http_client *client = client_open(port, false);
	pthread_t        t;
	unsigned         at = 0;
	unsigned char    buf[4096];
	size_t           total = 0;

	test_init();
	op_init(&o);
	conn = client_connect(client);
	MUST((peer = accept(listener, NULL, NULL)) >= 0);

	test_step = "what came with a small read";
	MUST(send_all(peer, "0123456789", 10));
	(void) read_some(buf, 1, false);
	CHECK(nni_http_conn_buffered != NULL && nni_http_conn_buffered(conn),
	    "a read of one byte has left nine with the system");
	CHECK(read_some(buf + 1, 2000, false) == 9, "a large read got something else");
	CHECK(memcmp(buf, "0123456789", 10) == 0, "read %.10s", buf);

	test_step = "reads of all sizes";
	for (int i = 0; i < 400; i++) {
		total += 1 + (size_t) (i * 37) % 1500;
	}
	MUST(pthread_create(&t, NULL, write_main, (void *) (intptr_t) peer) == 0);
	for (unsigned i = 0; at < total; i++) {
		static const size_t sizes[] = { 1, 2, 6, 14, 125, 1023, 1024, 4096 };
		size_t              want    = sizes[i % 8];
		size_t              n;

		if (want > total - at) {
			want = total - at;
		}
		n = read_some(buf, want, i % 3 == 0);
		CHECK(n > 0 && n <= want, "read %zu of %zu", n, want);
		for (size_t j = 0; j < n; j++, at++) {
			CHECK(buf[j] == (unsigned char) (at * 31 + at / 256), "another byte at %u", at);
		}
	}
	pthread_join(t, NULL);
	nng_http_conn_close(conn);
	nng_http_client_free(client);
	return (test_ok("small reads take what is there"));
}
