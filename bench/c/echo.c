// Takes connections over and echoes with callbacks: read, write_all, read, ...

#include "server.h"

typedef struct {
	nng_http_conn *conn;
	nng_aio *      aio;
	bool           reading;
	char           buf[4096];
} echo;

static void
start(echo *e, bool reading, const void *data, size_t len)
{
	nng_iov iov = { .iov_buf = (void *) data, .iov_len = len };

	e->reading = reading;
	nng_aio_set_iov(e->aio, 1, &iov);
	if (reading) {
		nng_http_conn_read(e->conn, e->aio);
	} else {
		nng_http_conn_write_all(e->conn, e->aio);
	}
}

static void
done(void *arg)
{
	echo *e = arg;

	if (nng_aio_result(e->aio) != 0) {
		nng_http_conn_close(e->conn);
		nng_aio_reap(e->aio); // it is this callback's own
		free(e);
	} else if (e->reading) {
		start(e, false, e->buf, nng_aio_count(e->aio));
	} else {
		start(e, true, e->buf, sizeof(e->buf));
	}
}

static void
take(nng_aio *aio)
{
	echo *e = malloc(sizeof(*e));

	e->conn = nng_aio_get_input(aio, 2);
	check("hijack", nng_http_hijack(e->conn));
	nng_http_req_free(nng_aio_get_input(aio, 0));
	nng_aio_set_output(aio, 0, NULL);
	nng_aio_finish(aio, 0);
	check("aio", nng_aio_alloc(&e->aio, done, e));
	start(e, false, UPGRADED, strlen(UPGRADED));
}

int
main(int argc, char **argv)
{
	return (serve(argc, argv, take));
}
