// The reference client of the conformance kit, as nng's manual would have it: for each line
// of its standard input, as "GET http://127.0.0.1:1234/", it makes a request and writes what came
// of it as one line of JSON (docs/conformance-contract.md).
//
// It keeps its connection for the next request to the same server, unless one of the two
// said that it is the last one. A request on a connection that was kept and has ended
// meanwhile is made again on another one, if its method allows that. A connection that is not kept
// is closed with the next request: libnng 1.5.2 as published still uses it for a moment after it
// has told of an error.

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <nng/nng.h>
#include <nng/supplemental/http/http.h>

#include "client.h"
#include "websocket.h"

static void
must(int rv, const char *what)
{
	if (rv != 0) {
		fprintf(stderr, "%s: %s\n", what, nng_strerror(rv));
		exit(1);
	}
}

// ---- the connection that is kept ----

static nng_http_conn *kept;
static char           kept_for[300]; // the host and port of the URL, or nothing: not to be used again

static void
drop(void)
{
	if (kept != NULL) {
		nng_http_conn_close(kept);
		kept = NULL;
	}
}

static int
dial(nng_url *url, nng_aio *aio)
{
	nng_http_client *client;
	int              rv;

	if ((rv = nng_http_client_alloc(&client, url)) != 0) {
		return (rv);
	}
	nng_http_client_connect(client, aio);
	nng_aio_wait(aio);
	if ((rv = nng_aio_result(aio)) == 0) {
		kept = nng_aio_get_output(aio, 0);
		snprintf(kept_for, sizeof(kept_for), "%s", url->u_host);
	}
	nng_http_client_free(client);
	return (rv);
}

static int
transact(nng_http_req *req, nng_http_res *res, nng_aio *aio)
{
	nng_http_conn_transact(kept, req, res, aio);
	nng_aio_wait(aio);
	return (nng_aio_result(aio));
}

// says reports whether a field that is a list of words has one.
static bool
says(const char *list, const char *word)
{
	while (list != NULL && *list != '\0') {
		size_t n;
		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n == strlen(word) && strncasecmp(list, word, n) == 0) {
			return (true);
		}
		list += n;
	}
	return (false);
}

// last reports whether no other request may be made on the connection (RFC 9112, section 9.3).
static bool
last(nng_http_req *req, nng_http_res *res)
{
	const char *connection = nng_http_res_get_header(res, "Connection");
	uint16_t    status     = nng_http_res_get_status(res);

	if (says(connection, "close") || status == 101) {
		return (true);
	}
	if (strcmp(nng_http_res_get_version(res), "HTTP/1.1") != 0 &&
	    (!says(connection, "keep-alive") || nng_http_res_get_header(res, "Transfer-Encoding") != NULL)) {
		return (true);
	}
	// A body that has neither a length nor chunks has no end but that of the connection.
	return (strcmp(nng_http_req_get_method(req), "HEAD") != 0 && status != 204 && status != 304 &&
	    nng_http_res_get_header(res, "Content-Length") == NULL &&
	    nng_http_res_get_header(res, "Transfer-Encoding") == NULL);
}

// ---- JSON, one character for each byte ----

void
put_string(const void *data, size_t len)
{
	const unsigned char *p = data;

	putchar('"');
	for (size_t i = 0; i < len; i++) {
		if ((p[i] < 0x20) || (p[i] > 0x7e) || (p[i] == '"') || (p[i] == '\\')) {
			printf("\\u%04x", p[i]);
		} else {
			putchar(p[i]);
		}
	}
	putchar('"');
}

// put_fields writes the fields that the parameter f of the URL asks for.
static void
put_fields(nng_http_res *res, const char *url)
{
	const char *f     = strstr(url, "?f=");
	bool        first = true;

	if (f == NULL) {
		return;
	}
	for (f += 3; *f != '\0' && *f != '&' && *f != '#';) {
		char        name[100];
		size_t      n = strcspn(f, ",&#");
		const char *value;

		snprintf(name, sizeof(name), "%.*s", (int) n, f);
		if ((value = nng_http_res_get_header(res, name)) != NULL) {
			printf(first ? "" : ",");
			put_string(name, strlen(name));
			printf(":[");
			put_string(value, strlen(value));
			printf("]");
			first = false;
		}
		f += n + (f[n] == ',');
	}
}

void
put_error(int rv)
{
	printf("{\"error\":");
	put_string(nng_strerror(rv), strlen(nng_strerror(rv)));
	printf("}\n");
}

// ---- requests ----

static int
request(nng_url *url, const char *method, nng_http_res *res, nng_aio *aio, bool *keep)
{
	nng_http_req *req;
	bool          again = kept != NULL && strcmp(kept_for, url->u_host) == 0;
	int           rv;

	if (!again) {
		drop();
	}
	if ((rv = nng_http_req_alloc(&req, url)) != 0) {
		return (rv);
	}
	must(nng_http_req_set_method(req, method), "set_method");
	if (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
		must(nng_http_req_set_data(req, "hello", 5), "set_data");
	}
	if ((kept != NULL || (rv = dial(url, aio)) == 0) && (rv = transact(req, res, aio)) != 0 && again) {
		drop();
		if (strcmp(method, "POST") != 0 && (rv = dial(url, aio)) == 0) {
			rv = transact(req, res, aio);
		}
	}
	*keep = rv == 0 && !last(req, res);
	nng_http_req_free(req);
	return (rv);
}

static void
serve(char *line, nng_aio *aio)
{
	char *        text = strchr(line, ' ');
	nng_http_res *res;
	nng_url *     url;
	void *        data;
	size_t        len;
	bool          keep = false;
	int           rv;

	if (text == NULL) {
		put_error(NNG_EINVAL);
		return;
	}
	*text++ = '\0';
	if (strcmp(line, "WEBSOCKET") == 0) {
		websocket_client(text);
		return;
	}
	if ((rv = nng_url_parse(&url, text)) != 0) {
		put_error(rv);
		return;
	}
	must(nng_http_res_alloc(&res), "res_alloc");
	if ((rv = request(url, line, res, aio, &keep)) != 0) {
		put_error(rv);
	} else {
		nng_http_res_get_data(res, &data, &len);
		printf("{\"status\":%d,\"fields\":{", nng_http_res_get_status(res));
		put_fields(res, text);
		printf("},\"body\":");
		put_string(data, len);
		printf("}\n");
	}
	if (!keep) {
		kept_for[0] = '\0';
	}
	nng_http_res_free(res);
	nng_url_free(url);
}

int
main(void)
{
	char *   line = NULL;
	size_t   cap  = 0;
	ssize_t  n;
	nng_aio *aio;

	must(nng_aio_alloc(&aio, NULL, NULL), "aio_alloc");
	while ((n = getline(&line, &cap, stdin)) > 0) {
		line[strcspn(line, "\r\n")] = '\0';
		serve(line, aio);
		fflush(stdout);
	}
	drop();
	nng_aio_free(aio);
	free(line);
	return (0);
}
