// CL18. Who awaits input takes none of it, and can give up at any time without harm to the
// connection.

#include "connutil.h"

extern void nni_http_conn_await(nng_http_conn *, nng_aio *) __attribute__((weak));
extern int  nni_http_conn_unread(nng_http_conn *, const void *, size_t) __attribute__((weak));

static int
await(void)
{
	nni_http_conn_await(conn, op_start(&o));
	return (op_wait(&o, 5000));
}

// give_up awaits for a moment, in which nothing comes.
static void
give_up(bool cancel)
{
	int rv;

	nng_aio_set_timeout(o.aio, cancel ? NNG_DURATION_INFINITE : 20);
	nni_http_conn_await(conn, op_start(&o));
	if (cancel) {
		sleep_ms(5);
		nng_aio_cancel(o.aio);
	}
	rv = op_wait(&o, 5000);
	nng_aio_set_timeout(o.aio, NNG_DURATION_INFINITE);
	CHECK(rv == (cancel ? NNG_ECANCELED : NNG_ETIMEDOUT), "who gives up is told %d", rv);
}

static void *
write_main(void *arg)
{
	for (unsigned i = 0; i < 4000; i++) {
		unsigned char c = (unsigned char) i;
		if (!send_all((int) (intptr_t) arg, &c, 1)) {
			break;
		}
		if (i % 3 == 0) {
			sleep_us(i % 200);
		}
	}
	return (NULL);
}

int
main(void)
{
	int              port;
	int              listener = tcp_listen(&port);
	int              peer;
	int              rv;
	nng_http_res *   res;
	nng_http_client *client = client_open(port, false);
	pthread_t        t;

	test_init();
	CHECK(nni_http_conn_await != NULL, "nobody can wait without taking something");
	op_init(&o);
	conn = client_connect(client);
	MUST((peer = accept(listener, NULL, NULL)) >= 0);

	test_step = "something comes";
	nni_http_conn_await(conn, op_start(&o));
	CHECK(nni_http_conn_unread(conn, "x", 1) == NNG_ESTATE, "given back while somebody waits");
	MUST(send_all(peer, "hello", 5));
	CHECK((rv = op_wait(&o, 5000)) == 0, "awaited: %d", rv);
	CHECK(await() == 0, "it is there, and still awaited");
	read_and_expect("hello", true);

	test_step = "the next reader has it";
	for (int i = 0; i < 4; i++) {
		give_up(i % 2 == 0);
		give_up(i % 2 == 1);
		CHECK(nni_http_conn_unread(conn, "x", 1) == NNG_ESTATE,
		    "given back while C may be reading into the buffer");
		MUST(send_all(peer, "late", 4));
		read_and_expect("late", i < 2); // small, and large
		CHECK((rv = nni_http_conn_unread(conn, "late", 4)) == 0, "not taken back: %d", rv);
		CHECK(await() == 0, "given back, and not there");
		read_and_expect("late", true);
	}

	test_step = "a message after it";
	give_up(true);
	MUST(send_all(peer, "HTTP/1.1 201 Made\r\nA: b\r\n\r\nrest", 32 - 1));
	MUST(nng_http_res_alloc(&res) == 0);
	nng_http_conn_read_res(conn, res, op_start(&o));
	CHECK((rv = op_wait(&o, 5000)) == 0, "read_res: %d", rv);
	CHECK(nng_http_res_get_status(res) == 201, "another response");
	nng_http_res_free(res);
	read_and_expect("rest", true);

	test_step = "giving up while something comes";
	MUST(pthread_create(&t, NULL, write_main, (void *) (intptr_t) peer) == 0);
	for (unsigned at = 0, i = 0; at < 4000; i++) {
		if (i % 4 != 3) {
			nni_http_conn_await(conn, op_start(&o));
			sleep_us(i % 60);
			nng_aio_cancel(o.aio);
			rv = op_wait(&o, 5000);
			CHECK(rv == 0 || rv == NNG_ECANCELED, "awaited: %d", rv);
			continue;
		}
		op_buf(&o, got, (i % 8 == 3) ? 3 : 2000);
		nng_http_conn_read(conn, op_start(&o));
		CHECK((rv = op_wait(&o, 5000)) == 0, "a read: %d", rv);
		for (size_t j = 0; j < nng_aio_count(o.aio); j++, at++) {
			CHECK((unsigned char) got[j] == (unsigned char) at, "another byte at %u", at);
		}
	}
	pthread_join(t, NULL);

	test_step = "one waits, another one reads";
	{
		op other;

		op_init(&other);
		nni_http_conn_await(conn, op_start(&o));
		op_buf(&other, got, 4);
		nng_http_conn_read_all(conn, op_start(&other));
		sleep_ms(5);
		nng_aio_cancel(o.aio);
		CHECK((rv = op_wait(&o, 5000)) == NNG_ECANCELED, "cancelled: %d", rv);
		MUST(send_all(peer, "both", 4));
		CHECK((rv = op_wait(&other, 5000)) == 0, "the read after it: %d", rv);
		CHECK(memcmp(got, "both", 4) == 0, "read %.4s", got);
		nng_aio_free(other.aio);
	}

	test_step = "the peer goes";
	nni_http_conn_await(conn, op_start(&o));
	close(peer);
	CHECK((rv = op_wait(&o, 5000)) == NNG_ECONNSHUT, "the end: %d", rv);
	CHECK((rv = await()) == NNG_ECONNSHUT, "after the end: %d", rv);
	op_buf(&o, got, 1);
	nng_http_conn_read(conn, op_start(&o)); // closes, as every read that fails
	CHECK((rv = op_wait(&o, 5000)) == NNG_ECONNSHUT, "a read after the end: %d", rv);
	CHECK((rv = await()) == NNG_ECLOSED, "and then: %d", rv);
	nng_http_conn_close(conn);

	test_step = "the peer resets while nobody waits";
	conn      = client_connect(client);
	MUST((peer = accept(listener, NULL, NULL)) >= 0);
	give_up(true);
	close_rst(peer);
	sleep_ms(50);
	CHECK((rv = await()) == NNG_ECONNRESET, "a reset: %d", rv);
	op_buf(&o, got, 1);
	nng_http_conn_read(conn, op_start(&o));
	CHECK((rv = op_wait(&o, 5000)) == NNG_ECONNRESET, "a read after a reset: %d", rv);
	nng_http_conn_close(conn);

	test_step = "the peer goes while nobody waits";
	conn = client_connect(client);
	MUST((peer = accept(listener, NULL, NULL)) >= 0);
	give_up(true);
	close(peer);
	sleep_ms(50);
	CHECK((rv = await()) == NNG_ECONNSHUT, "closed: %d", rv);
	nng_http_conn_close(conn);

	for (int given_up = 0; given_up < 2; given_up++) {
		test_step = "the peer ends its direction, and still reads";
		conn      = client_connect(client);
		MUST((peer = accept(listener, NULL, NULL)) >= 0);
		MUST(send_all(peer, "abc", 3));
		read_and_expect("abc", true);
		if (given_up) {
			give_up(true);
			shutdown(peer, SHUT_WR);
			sleep_ms(20);
			CHECK((rv = await()) == NNG_ECONNSHUT, "the end, late: %d", rv);
		} else {
			nni_http_conn_await(conn, op_start(&o));
			shutdown(peer, SHUT_WR);
			CHECK((rv = op_wait(&o, 5000)) == NNG_ECONNSHUT, "the end: %d", rv);
		}
		CHECK((rv = nni_http_conn_unread(conn, "abc", 3)) == 0, "not taken back: %d", rv);
		op_buf(&o, "hello", 5);
		nng_http_conn_write_all(conn, op_start(&o));
		CHECK((rv = op_wait(&o, 5000)) == 0, "a write after the peer's end: %d", rv);
		CHECK(recv(peer, got, 5, MSG_WAITALL) == 5, "it has not arrived");
		read_and_expect("abc", true);
		op_buf(&o, got, 1);
		nng_http_conn_read(conn, op_start(&o));
		CHECK((rv = op_wait(&o, 5000)) == NNG_ECONNSHUT, "the end of the bytes: %d", rv);
		nng_http_conn_close(conn);
		close(peer);
	}

	test_step = "closed while somebody waits";
	conn = client_connect(client);
	MUST((peer = accept(listener, NULL, NULL)) >= 0);
	nni_http_conn_await(conn, op_start(&o));
	nng_http_conn_close(conn);
	rv = op_wait(&o, 5000); // as any read
	CHECK(rv == NNG_ECLOSED || rv == NNG_ECANCELED, "closed: %d", rv);
	nng_http_client_free(client);
	return (test_ok("input can be awaited"));
}
