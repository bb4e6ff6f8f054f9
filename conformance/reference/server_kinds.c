// The routes of the reference server that are there for what nng's manual says of handlers: their
// methods, hosts and kinds, how much body they take, and error pages.

#include <signal.h>
#include <unistd.h>

#include "echo.h"
#include "server.h"

static nng_http_server *server; // of the error page

static void
respond(nng_aio *aio, nng_http_res *res)
{
	nng_aio_set_output(aio, 0, res);
	nng_aio_finish(aio, 0);
}

static void
text(nng_aio *aio, const char *body)
{
	nng_http_res *res;

	must(nng_http_res_alloc(&res), "res_alloc");
	must(nng_http_res_copy_data(res, body, strlen(body)), "copy_data");
	respond(aio, res);
}

static void
hosted(nng_aio *aio)
{
	text(aio, "virtual\n");
}

// late takes its time. It blocks one of nng's threads for that, of which there are several.
static void
late(nng_aio *aio)
{
	nng_msleep(300);
	text(aio, "late\n");
}

static void
error(nng_aio *aio)
{
	nng_http_res *res;

	must(nng_http_res_alloc_error(&res, 503), "res_alloc_error");
	must(nng_http_server_res_error(server, res), "server_res_error");
	must(nng_http_res_set_header(res, "Content-Type", "text/html"), "set_header");
	respond(aio, res);
}

// gone leaves it to the server to find the page.
static void
gone(nng_aio *aio)
{
	nng_http_res *res;

	must(nng_http_res_alloc_error(&res, 410), "res_alloc_error");
	respond(aio, res);
}

static void
fail(nng_aio *aio)
{
	nng_aio_finish(aio, NNG_EINTERNAL);
}

static void
fields(nng_aio *aio)
{
	nng_http_res *res;

	must(nng_http_res_alloc(&res), "res_alloc");
	must(nng_http_res_add_header(res, "X-A", "1"), "add_header");
	must(nng_http_res_add_header(res, "X-A", "2"), "add_header");
	must(nng_http_res_set_header(res, "X-B", "1"), "set_header");
	must(nng_http_res_del_header(res, "x-b"), "del_header");
	must(nng_http_res_set_data(res, "fields\n", 7), "set_data");
	respond(aio, res);
}

// ---- the files ----

static char dir[200];
static char paths[4][300];

// tidy removes the files. It may be called by a signal.
static void
tidy(void)
{
	for (int i = 0; i < 4; i++) {
		unlink(paths[i]);
	}
	rmdir(dir);
}

static void
interrupted(int sig)
{
	(void) sig;
	tidy();
	_exit(0);
}

static void
make_files(void)
{
	static const char *names[]    = { "index.html", "a.txt", "empty.txt", "gone.html" };
	static const char *contents[] = { "index\n", "a\n", "", "<p>gone</p>\n" };
	const char *       tmp        = getenv("TMPDIR");
	FILE *             f;

	snprintf(dir, sizeof(dir), "%s/conformance-XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL) {
		perror(dir);
		exit(1);
	}
	for (int i = 0; i < 4; i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s/%s", dir, names[i]);
		if (((f = fopen(paths[i], "w")) == NULL) || (fputs(contents[i], f) < 0) || (fclose(f) != 0)) {
			perror(paths[i]);
			exit(1);
		}
	}
	atexit(tidy);
	signal(SIGINT, interrupted);
	signal(SIGTERM, interrupted);
}

static void
add(nng_http_handler *h)
{
	must(nng_http_server_add_handler(server, h), "add_handler");
}

void
add_kinds(nng_http_server *s)
{
	nng_http_handler *h;

	server = s;
	must(nng_http_handler_alloc(&h, "/get", echo), "handler_alloc"); // GET is the default
	add(h);

	must(nng_http_handler_alloc(&h, "/small", echo), "handler_alloc");
	must(nng_http_handler_set_method(h, NULL), "set_method");
	must(nng_http_handler_collect_body(h, true, 16), "collect_body");
	add(h);

	must(nng_http_handler_alloc(&h, "/late", late), "handler_alloc");
	add(h);

	must(nng_http_handler_alloc(&h, "/virtual", hosted), "handler_alloc");
	must(nng_http_handler_set_host(h, "virtual.example"), "set_host");
	add(h);

	must(nng_http_handler_alloc_redirect(&h, "/moved", 301, "/static"), "alloc_redirect");
	add(h);

	must(nng_http_server_set_error_page(s, 503, "<p>error</p>\n"), "set_error_page");
	must(nng_http_handler_alloc(&h, "/error", error), "handler_alloc");
	add(h);

	must(nng_http_handler_alloc(&h, "/fields", fields), "handler_alloc");
	add(h);

	must(nng_http_handler_alloc(&h, "/fail", fail), "handler_alloc");
	add(h);

	make_files();
	must(nng_http_server_set_error_file(s, 410, paths[3]), "set_error_file");
	must(nng_http_handler_alloc(&h, "/gone", gone), "handler_alloc");
	add(h);

	must(nng_http_handler_alloc_directory(&h, "/files", dir), "alloc_directory");
	add(h);
}
