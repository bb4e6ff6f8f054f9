// Takes connections over and writes blocks of 64 KiB to them for as long as they last.

#include "server.h"

typedef struct {
	nng_http_conn *conn;
	nng_aio *      aio;
} bulk;

static char block[64 * 1024];

static void
start(bulk *b, const void *data, size_t len)
{
	nng_iov iov = { .iov_buf = (void *) data, .iov_len = len };

	nng_aio_set_iov(b->aio, 1, &iov);
	nng_http_conn_write_all(b->conn, b->aio);
}

static void
done(void *arg)
{
	bulk *b = arg;

	if (nng_aio_result(b->aio) != 0) {
		nng_http_conn_close(b->conn);
		nng_aio_reap(b->aio); // it is this callback's own
		free(b);
		return;
	}
	start(b, block, sizeof(block));
}

static void
take(nng_aio *aio)
{
	bulk *b = malloc(sizeof(*b));

	b->conn = nng_aio_get_input(aio, 2);
	check("hijack", nng_http_hijack(b->conn));
	nng_http_req_free(nng_aio_get_input(aio, 0));
	nng_aio_set_output(aio, 0, NULL);
	nng_aio_finish(aio, 0);
	check("aio", nng_aio_alloc(&b->aio, done, b));
	start(b, UPGRADED, strlen(UPGRADED));
}

int
main(int argc, char **argv)
{
	return (serve(argc, argv, take));
}
