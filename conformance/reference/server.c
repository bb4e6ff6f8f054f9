// The reference server of the conformance kit, as nng's manual would have it: one handler for
// each route of docs/conformance-contract.md.
//
//   server URL [HTTPS-URL CERT KEY]      serves until its standard input ends, or an interrupt
//
// It says "ready URL", with the port that it got, when it listens.

#include <signal.h>
#include <unistd.h>

#include "echo.h"
#include "slow.h"
#include "taken.h"

#include <nng/supplemental/tls/tls.h>

#include "websocket.h"

#include "server.h"

// ---- handlers ----

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

// contents returns those of a file, with a NUL after them.
static char *
contents(const char *name)
{
	FILE * f    = fopen(name, "r");
	char * text = calloc(1, 64 * 1024);
	size_t n;

	if ((f == NULL) || ((n = fread(text, 1, 64 * 1024 - 1, f)) == 0)) {
		perror(name);
		exit(1);
	}
	fclose(f);
	return (text);
}

// serve starts a server. A certificate and its key are for TLS.
static nng_http_server *
serve(const char *address, const char *cert, const char *key)
{
	nng_http_server * s;
	nng_http_handler *h;
	nng_url *         url;
	nng_sockaddr      sa;

	must(nng_url_parse(&url, address), address);
	must(nng_http_server_hold(&s, url), "server_hold");
	if (cert != NULL) {
		nng_tls_config *tls;

		must(nng_tls_config_alloc(&tls, NNG_TLS_MODE_SERVER), "tls_config_alloc");
		must(nng_tls_config_own_cert(tls, contents(cert), contents(key), NULL), "own_cert");
		must(nng_http_server_set_tls(s, tls), "set_tls");
	}
	add(s, "", echo, true, true);
	add(s, "/status", status, true, true);
	add(s, "/empty", empty, false, true);
	add(s, "/last", last, false, true);
	add(s, "/unread", empty, false, false);
	add(s, "/hijack", hijack, false, false);
	add(s, "/hijack/body", hijack, false, true);
	add(s, "/slow", slow, false, true);
	add(s, "/running", running, false, true);
	add(s, "/big", big, false, true);
	must(nng_http_handler_alloc_static(&h, "/static", "static\n", 7, "text/plain"), "alloc_static");
	must(nng_http_server_add_handler(s, h), "add_handler");
	add_kinds(s);
	websocket_routes(address);
	must(nng_http_server_start(s), "server_start");
	must(nng_http_server_get_addr(s, &sa), "get_addr");
	printf("ready %s://%s:%d (nng %s)\n", url->u_scheme, url->u_hostname,
	    (sa.s_in.sa_port >> 8 & 0xff) | (sa.s_in.sa_port & 0xff) << 8, nng_version());
	fflush(stdout);
	return (s);
}

static void
on_interrupt(int signal)
{
	(void) signal; // read returns
}

int
main(int argc, char **argv)
{
	struct sigaction interrupt = { .sa_handler = on_interrupt };
	nng_http_server *plain, *tls = NULL;
	char             c;

	if ((argc != 2) && (argc != 5)) {
		fprintf(stderr, "usage: %s http://ADDRESS:PORT [https://ADDRESS:PORT CERT KEY]\n", argv[0]);
		return (2);
	}
	sigaction(SIGINT, &interrupt, NULL);
	plain = serve(argv[1], NULL, NULL);
	if (argc == 5) {
		tls = serve(argv[2], argv[3], argv[4]);
	}
	while (read(0, &c, 1) > 0) {
	}
	nng_http_server_stop(plain);
	nng_http_server_release(plain);
	if (tls != NULL) {
		nng_http_server_stop(tls);
		nng_http_server_release(tls);
	}
	return (0);
}
