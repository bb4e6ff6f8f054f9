// The reference server of the conformance kit, as nng's manual would have it: one handler for
// each route of docs/conformance-contract.md.
//
//   server URL      serves until its standard input ends
//
// It says "ready URL", with the port that it got, when it listens.

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/supplemental/http/http.h>

#include "websocket.h"

static void
must(int rv, const char *what)
{
	if (rv != 0) {
		fprintf(stderr, "%s: %s\n", what, nng_strerror(rv));
		exit(1);
	}
}

// ---- JSON, one character for each byte ----

typedef struct {
	char * text;
	size_t len, cap;
} buf;

static void
put(buf *b, const void *data, size_t len)
{
	if (b->len + len > b->cap) {
		b->cap = 2 * (b->len + len);
		if ((b->text = realloc(b->text, b->cap)) == NULL) {
			abort();
		}
	}
	memcpy(b->text + b->len, data, len);
	b->len += len;
}

static void
puts_to(buf *b, const char *s)
{
	put(b, s, strlen(s));
}

static void
put_string(buf *b, const void *data, size_t len)
{
	const unsigned char *p = data;
	char                 esc[8];

	puts_to(b, "\"");
	for (size_t i = 0; i < len; i++) {
		if ((p[i] < 0x20) || (p[i] > 0x7e) || (p[i] == '"') || (p[i] == '\\')) {
			snprintf(esc, sizeof(esc), "\\u%04x", p[i]);
			puts_to(b, esc);
		} else {
			put(b, p + i, 1);
		}
	}
	puts_to(b, "\"");
}

// ---- handlers ----

static nng_http_res *
response(uint16_t status, const void *data, size_t len)
{
	nng_http_res *res;

	must(nng_http_res_alloc(&res), "res_alloc");
	must(nng_http_res_set_status(res, status), "set_status");
	if (data != NULL) {
		must(nng_http_res_copy_data(res, data, len), "copy_data");
	}
	return (res);
}

static void
answer(nng_aio *aio, nng_http_res *res)
{
	nng_aio_set_output(aio, 0, res);
	nng_aio_finish(aio, 0);
}

// put_fields adds the fields that the parameter f of the target asks for.
static void
put_fields(buf *b, nng_http_req *req, const char *target)
{
	const char *f = strchr(target, '?');
	bool        first = true;

	while (f != NULL && strncmp(f + 1, "f=", 2) != 0) {
		f = strchr(f + 1, '&');
	}
	if (f == NULL) {
		return;
	}
	for (f += 3; *f != '\0' && *f != '&' && *f != '#';) {
		char        name[100];
		size_t      n = strcspn(f, ",&#");
		const char *value;

		snprintf(name, sizeof(name), "%.*s", (int) n, f);
		if ((value = nng_http_req_get_header(req, name)) != NULL) {
			puts_to(b, first ? "" : ",");
			put_string(b, name, strlen(name));
			puts_to(b, ":[");
			put_string(b, value, strlen(value));
			puts_to(b, "]");
			first = false;
		}
		f += n + (f[n] == ',');
	}
}

static void
echo(nng_aio *aio)
{
	nng_http_req *req    = nng_aio_get_input(aio, 0);
	const char *  target = nng_http_req_get_uri(req);
	const char *  method = nng_http_req_get_method(req);
	nng_http_res *res;
	void *        data;
	size_t        len;
	buf           b = { 0 };

	nng_http_req_get_data(req, &data, &len);
	puts_to(&b, "{\"method\":");
	put_string(&b, method, strlen(method));
	puts_to(&b, ",\"target\":");
	put_string(&b, target, strlen(target));
	puts_to(&b, ",\"fields\":{");
	put_fields(&b, req, target);
	puts_to(&b, "},\"body\":");
	put_string(&b, data, len);
	puts_to(&b, "}\n");
	res = response(200, b.text, b.len);
	must(nng_http_res_set_header(res, "Conformance", "echo"), "set_header");
	must(nng_http_res_set_header(res, "Content-Type", "application/json"), "set_header");
	free(b.text);
	answer(aio, res);
}

// status responds with the status that the last part of the path is.
static void
status(nng_aio *aio)
{
	const char *target = nng_http_req_get_uri(nng_aio_get_input(aio, 0));
	uint16_t    code   = (uint16_t) atoi(strrchr(target, '/') + 1);

	if ((code == 204) || (code == 304)) {
		answer(aio, response(code, NULL, 0));
	} else {
		answer(aio, response(code, "status\n", 7));
	}
}

// empty responds with no body at all.
static void
empty(nng_aio *aio)
{
	nng_http_res *res = response(200, NULL, 0);

	must(nng_http_res_set_header(res, "Content-Length", "0"), "set_header");
	answer(aio, res);
}

// last responds, and wants no other request.
static void
last(nng_aio *aio)
{
	nng_http_res *res = response(200, "last\n", 5);

	must(nng_http_res_set_header(res, "Connection", "close"), "set_header");
	answer(aio, res);
}

// ---- a connection that is taken over: what comes is sent back ----

typedef struct {
	nng_http_conn *conn;
	nng_aio *      aio;
	bool           writing;
	char           data[4096];
	size_t         len;
} taken;

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

	if (nng_aio_result(t->aio) != 0) {
		nng_http_conn_close(t->conn);
		t->conn = NULL; // the rest is kept: this is its own callback
		return;
	}
	if (t->writing) {
		taken_start(t, false, sizeof(t->data));
	} else {
		taken_start(t, true, nng_aio_count(t->aio));
	}
}

static void
hijack(nng_aio *aio)
{
	static const char hello[] = "HTTP/1.1 101 Switching Protocols\r\n"
	                            "Connection: Upgrade\r\nUpgrade: echo\r\n\r\n";
	taken *           t       = calloc(1, sizeof(*t));

	t->conn = nng_aio_get_input(aio, 2);
	must(nng_aio_alloc(&t->aio, taken_cb, t), "aio_alloc");
	must(nng_http_hijack(t->conn), "hijack");
	nng_http_req_free(nng_aio_get_input(aio, 0));
	nng_aio_finish(aio, 0);
	memcpy(t->data, hello, sizeof(hello) - 1);
	taken_start(t, true, sizeof(hello) - 1);
}

// ---- set-up ----

static void
add(nng_http_server *s, const char *path, void (*cb)(nng_aio *), bool tree, bool body)
{
	nng_http_handler *h;

	must(nng_http_handler_alloc(&h, path, cb), "handler_alloc");
	must(nng_http_handler_set_method(h, NULL), "set_method");
	must(nng_http_handler_collect_body(h, body, 4 << 20), "collect_body");
	if (tree) {
		must(nng_http_handler_set_tree(h), "set_tree");
	}
	must(nng_http_server_add_handler(s, h), "add_handler");
}

int
main(int argc, char **argv)
{
	nng_http_server * s;
	nng_http_handler *h;
	nng_url *         url;
	nng_sockaddr      sa;
	char              c;

	if (argc != 2) {
		fprintf(stderr, "usage: %s http://ADDRESS:PORT\n", argv[0]);
		return (2);
	}
	must(nng_url_parse(&url, argv[1]), argv[1]);
	must(nng_http_server_hold(&s, url), "server_hold");
	add(s, "", echo, true, true);
	add(s, "/status", status, true, true);
	add(s, "/empty", empty, false, true);
	add(s, "/last", last, false, true);
	add(s, "/unread", empty, false, false);
	add(s, "/hijack", hijack, false, false);
	must(nng_http_handler_alloc_static(&h, "/static", "static\n", 7, "text/plain"), "alloc_static");
	must(nng_http_server_add_handler(s, h), "add_handler");
	websocket_routes(argv[1]);
	must(nng_http_server_start(s), "server_start");
	must(nng_http_server_get_addr(s, &sa), "get_addr");
	printf("ready http://%s:%d (nng %s)\n", url->u_hostname,
	    (sa.s_in.sa_port >> 8 & 0xff) | (sa.s_in.sa_port & 0xff) << 8, nng_version());
	fflush(stdout);
	while (read(0, &c, 1) > 0) {
	}
	return (0);
}
