// P24, P25. Which file of a directory a request names. No target leads out of the
// directory, and every one is answered.

#include "fileutil.h"

#define SECRET "confidential"

static struct {
	const char *target, *body;
} served[] = {
	{ "/hello.txt", "hello" },
	{ "/hello.txt?", "hello" },
	{ "/hello.txt?x=1", "hello" },
	{ "/hello.txt?x=/../../secret.txt", "hello" },
	{ "/hello.txt?%zz%", "hello" },
	{ "/h%65llo%2Etxt", "hello" },
	{ "/a%20b.txt", "blank" },
	{ "/100%25.txt", "percent" },
	{ "/%2541.txt", "once" }, // the file "%41.txt"
	{ "/%c3%bc.txt", "umlaut" },
	{ "/..hidden", "dots before" },
	{ "/dots..", "dots behind" },
	{ "/.../three.txt", "three dots" },
	{ "/%2e%2e%2e/three.txt", "three dots" },
	{ "/sub/x.txt", "below" },
	{ "/sub", "sub index" },
	{ "/sub/", "sub index" },
	{ "/sub?x", "sub index" },
	{ "", "index" },
	{ "/", "index" },
	{ "?q", "index" },
	{ "/%69ndex.html", "index" },
	{ "/link.txt", "linked" }, // symbolic links are followed
	{ "/a\\b.txt", "backslash" },
	{ "/a%5Cb.txt", "backslash" },
};

static const char *refused[] = {
	"/../secret.txt",
	"/../public-secret/s.txt",
	"/../public/hello.txt",
	"/sub/../../secret.txt",
	"/sub/../hello.txt",
	"/sub/..",
	"/..",
	"/../",
	"/../.",
	"//../secret.txt",
	"//../..",
	"/./../secret.txt",
	"/../../../../../../../../../../../../etc/hostname",
	"/./hello.txt",
	"/%2e/hello.txt",
	"//hello.txt",
	"/sub/./x.txt",
	"/sub//x.txt",
	"/sub/.",
	"/sub/./",
	"/sub//",
	"/.",
	"/./",
	"//",
	"/%2e%2e/secret.txt",
	"/%2E%2E/secret.txt",
	"/.%2e/secret.txt",
	"/%2e./secret.txt",
	"/%2e%2e",
	"/.%2e/",
	"/..%2fsecret.txt",
	"/..%2Fsecret.txt",
	"/%2e%2e%2fsecret.txt",
	"/..%2f..%2fetc/hostname",
	"/sub%2f..%2f..%2fsecret.txt",
	"/sub%2fx.txt",
	"%2fhello.txt",
	"%2f..%2fsecret.txt",
	"/%252e%252e/secret.txt",
	"/%252e%252e%252fsecret.txt",
	"/..%252fsecret.txt",
	"/%25%32%65%25%32%65/secret.txt",
	"/%c0%ae%c0%ae/secret.txt",
	"/%c0%ae%c0%ae%c0%afsecret.txt",
	"/..%c0%afsecret.txt",
	"/%uff0e%uff0e/secret.txt",
	"/....//secret.txt",
	"/..../secret.txt",
	"/..\\secret.txt",
	"/..%5csecret.txt",
	"/..;/secret.txt",
	"/..%00/secret.txt",
	"/..%00",
	"/../secret.txt%00.html",
	"/hello.txt%00",
	"/hello.txt%00.png",
	"%00",
	"/%00",
	"/hello.txt/..",
	"/hello.txt#x",
	"/%",
	"/%2",
	"/%zz",
	"/hello%2",
	"/hello.txt%",
	"/%2%65%2%65/secret.txt",
	"-secret/s.txt",
	"/bare",
	"/bare/",
	"/none",
};

static void
check_served(server *s, const char *prefix, const char *target, const char *body)
{
	char   t[600];
	answer a;

	snprintf(t, sizeof(t), "%s%s", prefix, target);
	test_step = t;
	a         = get(s, t);
	CHECK(a.status == 200, "%s: status %d", t, a.status);
	CHECK(strcmp(a.body, body) == 0, "%s: %s", t, a.body);
}

static void
check_refused(server *s, const char *prefix, const char *target)
{
	char   t[600];
	char   ok[100];
	answer a;

	snprintf(t, sizeof(t), "%s%s", prefix, target);
	test_step = t;
	a         = get(s, t);
	// A NUL in a path is refused before a handler is looked for.
	CHECK(a.status == (strstr(t, "%00") != NULL ? 400 : 404),
	    "%s: status %d, body %s", t, a.status, a.body);
	CHECK(strstr(a.body, SECRET) == NULL, "%s: left the directory", t);

	snprintf(ok, sizeof(ok), "%s/hello.txt", prefix);
	a = get(s, ok);
	CHECK(a.status == 200, "%s: nothing goes on", t);
}

static void
check_all(server *s, const char *prefix)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (*prefix == '\0' && refused[i][0] != '/') {
			continue;
		}
		check_refused(s, prefix, refused[i]);
	}
	for (size_t i = 0; i < sizeof(served) / sizeof(served[0]); i++) {
		// "/" has no form without its slash.
		if (*prefix == '\0' && served[i].target[0] != '/') {
			continue;
		}
		check_served(s, prefix, served[i].target, served[i].body);
	}
}

int
main(void)
{
	server s, root;
	char   up[100];
	int    dirs = 0;

	test_init();
	alarm(60);
	make_base();
	make_dir("public");
	make_dir("public-secret");
	make_text("secret.txt", SECRET);
	make_text("public-secret/s.txt", SECRET);
	make_text("linked.txt", "linked");
	make_text("public/index.html", "index");
	make_text("public/hello.txt", "hello");
	make_text("public/a b.txt", "blank");
	make_text("public/100%.txt", "percent");
	make_text("public/%41.txt", "once");
	make_text("public/A.txt", "twice");
	make_text("public/\xc3\xbc.txt", "umlaut");
	make_text("public/..hidden", "dots before");
	make_text("public/dots..", "dots behind");
	make_text("public/a\\b.txt", "backslash");
	make_dir("public/...");
	make_text("public/.../three.txt", "three dots");
	make_dir("public/sub");
	make_text("public/sub/x.txt", "below");
	make_text("public/sub/index.html", "sub index");
	make_dir("public/bare");
	MUST(symlink("../linked.txt", in_base("public/link.txt")) == 0);

	server_open(&s, false);
	add_directory(&s, "/files", "public");
	add_directory(&s, "/odd name", "public");
	server_start(&s);
	server_open(&root, false);
	add_directory(&root, "/", "public");
	server_start(&root);

	check_all(&s, "/files");
	check_all(&root, "");
	// The handler is found by the decoded path, and with an absolute URL.
	check_all(&s, "/f%69les");
	check_all(&s, "http://x/files");
	check_all(&s, "HTTPS://X:443/%66iles");
	check_served(&s, "/odd%20name", "/a%20b.txt", "blank");
	check_served(&root, "http://x", "", "index");

	// A target that goes over the directory itself.
	for (const char *p = base_dir; (p = strchr(p, '/')) != NULL; p++) {
		dirs++;
	}
	MUST(dirs > 0);
	snprintf(up, sizeof(up), "/sub/../../../%s/secret.txt",
	    strrchr(base_dir, '/') + 1);
	check_refused(&s, "/files", up);

	// The same as a handler of all methods: targets that are no paths.
	{
		nng_http_handler *h;
		server            any;
		answer            a;
		int               fd;

		server_open(&any, false);
		MUST(nng_http_handler_alloc_directory(
		         &h, "/", in_base("public")) == 0);
		MUST(nng_http_handler_set_method(h, NULL) == 0);
		MUST(nng_http_server_add_handler(any.srv, h) == 0);
		server_start(&any);
		fd = tcp_connect(any.port, 0);
		a  = get_on(fd, "CONNECT", "x:80");
		CHECK(a.status == 404, "CONNECT: status %d", a.status);
		a = get_on(fd, "OPTIONS", "*");
		CHECK(a.status == 404, "OPTIONS *: status %d", a.status);
		a = get_on(fd, "POST", "/hello.txt");
		CHECK(a.status == 200, "POST: status %d", a.status);
		close(fd);
	}
	return (test_ok("names stay in the directory"));
}
