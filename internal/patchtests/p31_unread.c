// P31. What was read of a connection can be given back, and is what comes next: for a read, and
// for the parser of messages.

#include "connutil.h"

extern int nni_http_conn_unread(nng_http_conn *, const void *, size_t) __attribute__((weak));

// unread_while_reading is what comes of it while a read is under way.
static int
unread_while_reading(void)
{
	op_buf(&o, got, 4);
	nng_http_conn_read(conn, op_start(&o));
	return (nni_http_conn_unread(conn, "x", 1));
}

static size_t
read_some(size_t size)
{
	int rv;

	memset(got, 0, sizeof(got));
	op_buf(&o, got, size);
	nng_http_conn_read(conn, op_start(&o));
	CHECK((rv = op_wait(&o, 5000)) == 0, "a read: %d", rv);
	return (nng_aio_count(o.aio));
}

static void
unread(const char *text)
{
	int rv = nni_http_conn_unread(conn, text, strlen(text));
	CHECK(rv == 0, "not taken back: %d", rv);
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
	static char      large[8192 + 2];

	test_init();
	CHECK(nni_http_conn_unread != NULL, "nothing can be given back");
	op_init(&o);
	conn = client_connect(client);
	MUST((peer = accept(listener, NULL, NULL)) >= 0);

	test_step = "into an empty buffer";
	send_all(peer, "onetwo", 6);
	read_and_expect("onetwo", true);
	unread("two");
	unread("one");
	read_and_expect("on", true);
	unread("");
	read_and_expect("etwo", true);

	test_step = "in front of the parser";
	unread("HTTP/1.1 201 Made\r\n");
	send_all(peer, "A: b\r\n\r\nafter it.", 17);
	MUST(nng_http_res_alloc(&res) == 0);
	nng_http_conn_read_res(conn, res, op_start(&o));
	CHECK((rv = op_wait(&o, 5000)) == 0, "read_res: %d", rv);
	CHECK(nng_http_res_get_status(res) == 201, "another response");
	nng_http_res_free(res);

	test_step = "what the parser has left";
	CHECK(read_some(3) == 3 && strcmp(got, "aft") == 0, "read %s", got);
	unread("aft");     // where it was
	unread("longer than all of the head was, and more: "); // has to make room
	read_and_expect("longer than all of the head was, and more: after it.", true);

	test_step = "too much";
	memset(large, 'x', sizeof(large) - 1);
	rv = nni_http_conn_unread(conn, large, 8193);
	CHECK(rv == NNG_EMSGSIZE, "more than there is room for: %d", rv);
	large[8192] = 0;
	unread(large);
	CHECK(nni_http_conn_unread(conn, "x", 1) == NNG_EMSGSIZE, "one more byte was taken");
	read_and_expect(large, true);

	test_step = "while somebody reads";
	rv = unread_while_reading();
	CHECK(rv == NNG_ESTATE, "a read is under way: %d", rv);
	send_all(peer, "late", 4);
	CHECK((rv = op_wait(&o, 5000)) == 0, "that read: %d", rv);
	CHECK(memcmp(got, "late", 4) == 0, "read %.4s", got);

	test_step = "after the end";
	unread("last");
	close(peer);
	read_and_expect("last", true);
	op_buf(&o, got, 1);
	nng_http_conn_read(conn, op_start(&o));
	CHECK((rv = op_wait(&o, 5000)) == NNG_ECONNSHUT, "the end: %d", rv);
	CHECK((rv = nni_http_conn_unread(conn, "x", 1)) == NNG_ECLOSED,
	    "a closed connection: %d", rv);
	nng_http_conn_close(conn);
	nng_http_client_free(client);
	return (test_ok("bytes can be given back"));
}
