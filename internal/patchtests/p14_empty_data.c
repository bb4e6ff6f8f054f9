// P14. Data may be empty, and a copy of it is not a lack of memory.

#include "testutil.h"

static void
copy_cb(nng_aio *aio)
{
	nng_http_res *res;
	void *        data;
	size_t        len = 1;
	int           rv;

	MUST(nng_http_res_alloc(&res) == 0);
	MUST(nng_http_res_copy_data(res, "before", 6) == 0);
	rv = nng_http_res_copy_data(res, "", 0);
	CHECK(rv == 0, "an empty copy: %s", nng_strerror(rv));
	nng_http_res_get_data(res, &data, &len);
	CHECK(len == 0, "an empty copy has %zu bytes", len);
	nng_aio_set_output(aio, 0, res);
	nng_aio_finish(aio, 0);
}

static void
ask(server *s, const char *path, const char *want)
{
	char buf[1000];
	int  fd  = tcp_connect(s->port, 0);
	int  len = snprintf(buf, sizeof(buf),
             "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
	int  have = 0;

	test_step = path;
	MUST(send_all(fd, buf, (size_t) len));
	for (;;) {
		ssize_t n = recv(
		    fd, buf + have, sizeof(buf) - 1 - (size_t) have, 0);
		if (n <= 0) {
			break;
		}
		have += (int) n;
	}
	buf[have] = '\0';
	CHECK(strncmp(buf, "HTTP/1.1 200", 12) == 0, "%s: %s", path, buf);
	CHECK(strstr(buf, want) != NULL, "%s: %s", path, buf);
	close(fd);
}

int
main(void)
{
	server            s;
	nng_http_handler *h;
	nng_http_req *    req;
	int               rv;

	test_init();
	server_open(&s, false);
	server_add(&s, "/copy", copy_cb);
	MUST(nng_http_handler_alloc_static(
	         &h, "/static", NULL, 0, "text/plain") == 0);
	MUST(nng_http_server_add_handler(s.srv, h) == 0);
	server_start(&s);
	ask(&s, "/copy", "\r\nContent-Length: 0\r\n");
	ask(&s, "/static", "\r\nContent-Length: 0\r\n");

	req = make_req(s.port, "/copy");
	rv  = nng_http_req_copy_data(req, NULL, 0);
	CHECK(rv == 0, "an empty copy: %s", nng_strerror(rv));
	CHECK(strcmp(nng_http_req_get_header(req, "Content-Length"), "0") == 0,
	    "the length of a request's empty copy");
	rv = nng_http_req_copy_data(req, "x", 1);
	CHECK(rv == 0, "a copy behind an empty one: %s", nng_strerror(rv));
	nng_http_req_free(req);
	return (test_ok("empty data is data"));
}
