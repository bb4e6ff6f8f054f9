// S21. A file that is read whole, and is shorter than the system said a moment before,
// is an error, and never memory that has been freed.
// build: -Wl,--wrap=stat,--wrap=fstat

#include "fileutil.h"

static off_t longer; // by this much files seem to be longer than they are

int __real_stat(const char *, struct stat *);
int __real_fstat(int, struct stat *);

int
__wrap_stat(const char *name, struct stat *st)
{
	int rv = __real_stat(name, st);

	st->st_size += (rv == 0) ? longer : 0;
	return (rv);
}

int
__wrap_fstat(int fd, struct stat *st)
{
	int rv = __real_fstat(fd, st);

	st->st_size += (rv == 0) ? longer : 0;
	return (rv);
}

int
main(void)
{
	server s;
	answer a;
	int    rv;

	test_init();
	make_base();
	make_text("page.html", "<p>whole</p>");
	make_text("empty.html", "");
	server_open(&s, false);
	add_file(&s, "/page", "page.html");
	server_start(&s);

	MUST(nng_http_server_set_error_file(
	         s.srv, 404, in_base("page.html")) == 0);
	a = get(&s, "/none");
	CHECK(a.status == 404 && strcmp(a.body, "<p>whole</p>") == 0,
	    "the page is %s", a.body);
	MUST(nng_http_server_set_error_file(
	         s.srv, 500, in_base("empty.html")) == 0);

	longer = 100;
	for (int i = 0; i < 3; i++) {
		errno = 0;
		rv    = nng_http_server_set_error_file(
                    s.srv, 404, in_base("page.html"));
		CHECK(rv != 0, "a file that is too short is no error");
	}
	a = get(&s, "/none");
	CHECK(a.status == 404 && strcmp(a.body, "<p>whole</p>") == 0,
	    "the page is %s", a.body);

	// A file handler has not sent anything yet, so it can say so.
	a = get(&s, "/page");
	CHECK(a.status == 500, "status %d", a.status);
	longer = 0;
	a      = get(&s, "/page");
	CHECK(a.status == 200, "status %d", a.status);
	return (test_ok("a short file is an error"));
}
