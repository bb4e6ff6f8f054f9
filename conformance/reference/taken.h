// Connections that are taken over: what comes is sent back.

#include "common.h"

typedef struct {
	nng_http_conn *conn;
	nng_aio *      aio;
	bool           writing;
	bool           bye; // the end comes after what is being written
	char *         data;
	size_t         len;
} taken;

enum { taken_size = 64 * 1024 };

static void
taken_start(taken *t, bool writing, size_t len)
{
	nng_iov iov = { .iov_buf = t->data, .iov_len = len };

	t->writing = writing;
	nng_aio_set_iov(t->aio, 1, &iov);
	if (writing) {
		nng_http_conn_write_all(t->conn, t->aio);
	} else {
		nng_http_conn_read(t->conn, t->aio);
	}
}

static void
taken_cb(void *arg)
{
	taken *t = arg;

	if ((nng_aio_result(t->aio) != 0) || t->bye) {
		nng_http_conn_close(t->conn);
		free(t->data);
		t->data = NULL; // the rest is kept: this is its own callback
		return;
	}
	if (t->writing) {
		taken_start(t, false, taken_size);
	} else {
		taken_start(t, true, nng_aio_count(t->aio));
	}
}

// hijack takes the connection over. The body of the request comes back first, if it was read.
static void
hijack(nng_aio *aio)
{
	static const char upgrade[] = "HTTP/1.1 101 Switching Protocols\r\n"
	                              "Connection: Upgrade\r\nUpgrade: echo\r\n\r\n";
	nng_http_req *    req       = nng_aio_get_input(aio, 0);
	const char *      query     = strchr(nng_http_req_get_uri(req), '?');
	const char *      hello     = upgrade;
	taken *           t         = calloc(1, sizeof(*t));
	void *            body;
	size_t            len;

	query = (query == NULL) ? "" : query;
	if (strcmp(query, "?raw") == 0) {
		hello = "";
	} else if (strcmp(query, "?tunnel") == 0) {
		hello = "HTTP/1.1 200 OK\r\n\r\n";
	}
	nng_http_req_get_data(req, &body, &len);
	t->conn = nng_aio_get_input(aio, 2);
	t->bye  = strcmp(query, "?bye") == 0;
	if ((t->data = malloc(taken_size + len)) == NULL) {
		abort();
	}
	memcpy(t->data, hello, t->len = strlen(hello));
	if (t->bye) {
		memcpy(t->data + t->len, "bye\n", 4);
		t->len += 4;
	}
	if (len > 0) {
		memcpy(t->data + t->len, body, len);
		t->len += len;
	}
	must(nng_aio_alloc(&t->aio, taken_cb, t), "aio_alloc");
	must(nng_http_hijack(t->conn), "hijack");
	nng_http_req_free(req);
	nng_aio_finish(aio, 0);
	taken_start(t, t->len > 0, (t->len > 0) ? t->len : taken_size);
}
