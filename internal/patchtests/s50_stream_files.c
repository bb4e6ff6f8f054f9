// S50. File and directory handlers send a file piece by piece, whatever the peer
// and the file do meanwhile, and open nothing that is not a regular file.

#include "fileutil.h"

#include <sys/resource.h>
#include <sys/un.h>

#define MIB ((size_t) 1024 * 1024)
#define BIG (4 * MIB)

static char *pattern; // BIG bytes

// check_data reads the announced body, which is how the pattern begins.
static void
check_data(int fd, answer *a, const char *what)
{
	static char buf[65536];

	while (a->got < a->length) {
		size_t  want = sizeof(buf);
		ssize_t n;

		if (want > a->length - a->got) {
			want = (size_t) (a->length - a->got);
		}
		n = recv(fd, buf, want, 0);
		CHECK(n > 0, "%s: ends after %zu of %llu bytes", what, a->got,
		    a->length);
		CHECK(memcmp(buf, pattern + a->got, (size_t) n) == 0,
		    "%s: wrong data", what);
		a->got += (size_t) n;
	}
}

// fds_are waits until the process has so many file descriptors, or fewer.
static bool
fds_are(int n)
{
	for (int i = 0; i < 1000; i++) {
		if (count_fds() <= n) {
			return (true);
		}
		sleep_ms(10);
	}
	return (false);
}

// All lengths around a piece, GET and HEAD in turn on one connection.
static void
test_lengths(server *s)
{
	static const size_t sizes[] = { 0, 1, 4095, 65535, 65536, 65537, 131071,
		131072, 131073, 3 * MIB + 7 };
	char                name[64], target[64];
	int                 fd = tcp_connect(s->port, 0);
	answer              a;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(name, sizeof(name), "dir/size%zu.bin", sizes[i]);
		make_file(name, pattern, sizes[i]);
		snprintf(target, sizeof(target), "/dir/size%zu.bin", sizes[i]);
		test_step = target;
		for (int j = 0; j < 4; j++) {
			ask(fd, (j % 2 == 0) ? "GET" : "HEAD", target);
			read_head(fd, &a);
			CHECK(a.status == 200, "%s: status %d", target, a.status);
			CHECK(a.has_length && a.length == sizes[i],
			    "%s: length %llu", target, a.length);
			if (j % 2 == 0) {
				check_data(fd, &a, target);
			}
		}
	}
	// Requests that wait behind one another.
	ask(fd, "GET", "/dir/size131073.bin");
	ask(fd, "HEAD", "/big");
	ask(fd, "GET", "/big");
	ask(fd, "GET", "/dir/size0.bin");
	read_head(fd, &a);
	check_data(fd, &a, "first of a pipeline");
	read_head(fd, &a);
	CHECK(a.length == BIG, "HEAD in a pipeline: length %llu", a.length);
	read_head(fd, &a);
	check_data(fd, &a, "third of a pipeline");
	read_head(fd, &a);
	CHECK(a.status == 200 && a.length == 0, "last of a pipeline");
	close(fd);

	// More than 32 bits have room for.
	test_step = "a file of 5 GiB";
	make_sparse("dir/huge", (off_t) 5 * 1024 * (off_t) MIB);
	fd = tcp_connect(s->port, 0);
	for (int j = 0; j < 2; j++) {
		ask(fd, (j == 0) ? "HEAD" : "GET", "/dir/huge");
		read_head(fd, &a);
		CHECK(a.length == 5ull * 1024 * MIB, "5 GiB: length %llu", a.length);
	}
	close(fd);
}

// Peers that read nothing cost little, and get everything when they do.
static void
test_memory(server *s)
{
	int    fd[100];
	answer a[100];
	long   before;

	test_step = "unread files";
	make_sparse("dir/200mb", (off_t) 200 * (off_t) MIB);
	before = status_kb("VmHWM:");
	for (int i = 0; i < 10; i++) {
		fd[i] = tcp_connect(s->port, 4096);
		ask(fd[i], "GET", (i % 2 == 0) ? "/dir/200mb" : "/200mb");
		read_head(fd[i], &a[i]);
		CHECK(a[i].length == 200 * MIB, "200 MB: length %llu", a[i].length);
	}
	sleep_ms(200);
	before = status_kb("VmHWM:") - before;
	CHECK(before < 32 * 1024, "ten unread files cost %ld KiB", before);
	for (int i = 0; i < 10; i++) {
		if (i < 5) {
			close(fd[i]);
		} else {
			close_rst(fd[i]);
		}
	}

	test_step = "a hundred files at once";
	for (int i = 0; i < 100; i++) {
		fd[i] = tcp_connect(s->port, 0);
		ask(fd[i], "GET", (i % 2 == 0) ? "/dir/big" : "/big");
		read_head(fd[i], &a[i]);
	}
	for (int i = 99; i >= 0; i--) {
		check_data(fd[i], &a[i], test_step);
		close(fd[i]);
	}
}

// What is not a regular file is not found, and nobody waits.
static void
test_not_regular(server *s)
{
	static const char *other[] = { "fifo", "socket", "zero", "tty", "folder",
		"loop", "big/", "big/x", "none" };
	const int          n       = sizeof(other) / sizeof(other[0]);
	struct sockaddr_un sa      = { .sun_family = AF_UNIX };
	int                fd, sock;
	answer             a;
	char               target[64];

	MUST(mkfifo(in_base("dir/fifo"), 0600) == 0);
	MUST((sock = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0);
	MUST(strlen(in_base("dir/socket")) < sizeof(sa.sun_path));
	strcpy(sa.sun_path, in_base("dir/socket"));
	MUST(bind(sock, (void *) &sa, sizeof(sa)) == 0);
	MUST(symlink("/dev/zero", in_base("dir/zero")) == 0);
	MUST(symlink("/dev/tty", in_base("dir/tty")) == 0);
	MUST(symlink("loop", in_base("dir/loop")) == 0);
	make_dir("dir/folder");
	for (int i = 0; i < n; i++) {
		char name[64];

		snprintf(target, sizeof(target), "/other%d", i);
		snprintf(name, sizeof(name), "dir/%s", other[i]);
		add_file(s, target, name);
	}
	for (int round = 0; round < 8; round++) {
		for (int i = 0; i < 2 * n; i++) {
			if (i < n) {
				snprintf(target, sizeof(target), "/other%d", i);
			} else {
				snprintf(target, sizeof(target), "/dir/%s",
				    other[i - n]);
			}
			test_step = target;
			fd        = tcp_connect(s->port, 0);
			a         = get_on(fd, "GET", target);
			CHECK(a.status == 404, "%s: status %d", target, a.status);
			a = get_on(fd, "HEAD", "/big");
			CHECK(a.status == 200, "%s: does not go on", target);
			close(fd);
		}
	}
	close(sock);
}

static void
test_changes(server *s)
{
	answer a;
	FILE * f;
	char   buf[65536];
	int    fd = tcp_connect(s->port, 4096);

	test_step = "a file that grows";
	make_file("dir/grow", pattern, BIG);
	ask(fd, "GET", "/dir/grow");
	read_head(fd, &a);
	MUST((f = fopen(in_base("dir/grow"), "ab")) != NULL);
	MUST(fwrite(pattern, 1, BIG, f) == BIG);
	MUST(fclose(f) == 0);
	CHECK(a.length == BIG, "a growing file: length %llu", a.length);
	check_data(fd, &a, test_step);
	a = get_on(fd, "HEAD", "/dir/grow");
	CHECK(a.status == 200 && a.length == 2 * BIG,
	    "behind a growing file: status %d, length %llu", a.status, a.length);

	test_step = "a file that goes and another that comes in its place";
	ask(fd, "GET", "/dir/grow");
	read_head(fd, &a);
	MUST(unlink(in_base("dir/grow")) == 0);
	make_file("dir/grow", "other", 5);
	a.length -= BIG; // it has the pattern twice
	check_data(fd, &a, test_step);
	a.got = 0;
	check_data(fd, &a, test_step);
	a = get_on(fd, "GET", "/dir/grow");
	CHECK(a.got == 5, "the new file has %zu bytes", a.got);

	test_step = "a file that shrinks";
	make_file("dir/shrink", pattern, BIG);
	ask(fd, "GET", "/dir/shrink");
	read_head(fd, &a);
	MUST(truncate(in_base("dir/shrink"), 1000) == 0);
	while (a.got < a.length) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		if (n <= 0) {
			break;
		}
		CHECK(memcmp(buf, pattern + a.got, (size_t) n) == 0,
		    "a shrinking file: wrong data");
		a.got += (size_t) n;
	}
	CHECK(a.got < a.length, "a shrinking file has lost nothing");
	close(fd);
	a = get(s, "/dir/shrink");
	CHECK(a.got == 1000, "the shrunk file has %zu bytes", a.got);
}

// Peers that go away at any moment leave nothing.
static void
test_gone(server *s)
{
	int    before = count_fds();
	char   buf[65536];
	answer a;

	test_step = "peers that go away";
	for (int i = 0; i < 300; i++) {
		int fd = tcp_connect(s->port, (i % 3 == 0) ? 4096 : 0);
		int n  = i % 10;
		ask(fd, "GET", (i % 2 == 0) ? "/dir/big" : "/big");
		while (n-- > 0 && recv(fd, buf, sizeof(buf) >> n, 0) > 0) {
		}
		if (i % 4 < 2) {
			close_rst(fd);
		} else {
			close(fd);
		}
	}
	a = get(s, "/dir/size1.bin");
	CHECK(a.status == 200, "status %d", a.status);
	CHECK(fds_are(before), "%d descriptors, %d before", count_fds(), before);
}

// The handler goes, but not its file.
static void
test_handler_gone(server *s)
{
	nng_http_handler *h;
	answer            a;
	int               fd = tcp_connect(s->port, 4096);

	test_step = "a handler that is removed";
	MUST(nng_http_handler_alloc_file(&h, "/gone", in_base("dir/big")) == 0);
	MUST(nng_http_server_add_handler(s->srv, h) == 0);
	ask(fd, "GET", "/gone");
	read_head(fd, &a);
	MUST(nng_http_server_del_handler(s->srv, h) == 0);
	nng_http_handler_free(h);
	check_data(fd, &a, test_step);
	a = get_on(fd, "GET", "/gone");
	CHECK(a.status == 404, "status %d", a.status);
	close(fd);
}

static void
test_no_descriptors(server *s)
{
	struct rlimit lim, low;
	int           fill[512], n = 0, refused = 0;
	int           fd = tcp_connect(s->port, 0);
	answer        a  = get_on(fd, "GET", "/big");

	test_step = "no descriptor is left";
	MUST(a.got == BIG);
	MUST(getrlimit(RLIMIT_NOFILE, &lim) == 0);
	low          = lim;
	low.rlim_cur = 500;
	MUST(setrlimit(RLIMIT_NOFILE, &low) == 0);
	// Connections of the tests before may still give theirs back.
	for (int i = 0; i < 1000; i++) {
		while (n < 512 && (fill[n] = dup(0)) >= 0) {
			n++;
		}
		MUST(n > 0 && n < 512);
		a = get_on(fd, "GET", (i % 2 == 0) ? "/big" : "/dir/big");
		if (a.status != 200 && ++refused == 4) {
			break;
		}
		CHECK(a.status == 200 || a.status == 500,
		    "no descriptor: status %d", a.status);
	}
	CHECK(refused == 4, "no descriptor: no error");
	while (n > 0) {
		close(fill[--n]);
	}
	MUST(setrlimit(RLIMIT_NOFILE, &lim) == 0);
	a = get_on(fd, "GET", "/dir/big");
	CHECK(a.status == 200 && a.got == BIG, "later: status %d", a.status);
	close(fd);
}

static void
test_tls(void)
{
	server           s;
	nng_http_client *c;
	op               o;
	void *           data;
	size_t           len;

	test_step = "over TLS";
	server_open(&s, true);
	add_directory(&s, "/dir", "dir");
	server_start(&s);
	c = client_open(s.port, true);
	op_init(&o);
	for (int i = 0; i < 3; i++) {
		nng_http_req *req = make_req(s.port, "/dir/big");
		nng_http_res *res;
		int           rv;

		MUST(nng_http_res_alloc(&res) == 0);
		nng_http_client_transact(c, req, res, op_start(&o));
		rv = op_wait(&o, 10000);
		CHECK(rv == 0, "over TLS: %s", nng_strerror(rv));
		nng_http_res_get_data(res, &data, &len);
		CHECK(len == BIG && memcmp(data, pattern, BIG) == 0,
		    "over TLS: wrong data, %zu bytes", len);
		nng_http_req_free(req);
		nng_http_res_free(res);
	}
	nng_http_client_free(c);
	nng_http_server_stop(s.srv);
	nng_http_server_release(s.srv);
}

// A stop in the middle ends everything, and gives all back.
static void
test_stop(server *s, int before)
{
	int    fd[50];
	answer a;

	test_step = "a stop";
	for (int i = 0; i < 50; i++) {
		fd[i] = tcp_connect(s->port, 4096);
		ask(fd[i], "GET", (i % 2 == 0) ? "/dir/200mb" : "/big");
		if (i % 3 != 0) {
			read_head(fd[i], &a);
			CHECK(a.status == 200, "status %d", a.status);
		}
	}
	nng_http_server_stop(s->srv);
	nng_http_server_release(s->srv);
	for (int i = 0; i < 50; i++) {
		char buf[65536];
		while (recv(fd[i], buf, sizeof(buf), 0) > 0) {
		}
		close(fd[i]);
	}
	CHECK(fds_are(before), "%d descriptors, %d before", count_fds(), before);
}

int
main(void)
{
	server s;
	int    before;

	test_init();
	alarm(100);
	make_base();
	make_dir("dir");
	MUST((pattern = malloc(BIG)) != NULL);
	for (size_t i = 0; i < BIG; i++) {
		pattern[i] = (char) ((i * 2654435761u) >> 13);
	}
	make_file("dir/big", pattern, BIG);

	test_tls(); // also makes all that nng has once
	before = count_fds();
	server_open(&s, false);
	add_directory(&s, "/dir", "dir");
	add_file(&s, "/big", "dir/big");
	add_file(&s, "/200mb", "dir/200mb");
	server_start(&s);

	test_memory(&s);
	test_lengths(&s);
	test_not_regular(&s);
	test_changes(&s);
	test_gone(&s);
	test_handler_gone(&s);
	test_no_descriptors(&s);
	test_stop(&s, before);
	return (test_ok("files are sent piece by piece"));
}
