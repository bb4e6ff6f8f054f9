// Files, and requests for them, for the tests of nng's file and directory handlers.

#ifndef FILEUTIL_H
#define FILEUTIL_H

#include "testutil.h"

#include <sys/stat.h>

static char base_dir[200]; // a new directory of the test

// make_base makes the directory. However the test ends, a child that waits for that
// removes it.
static inline void
make_base(void)
{
	const char *tmp = getenv("TMPDIR");
	int         p[2];
	char        c;

	snprintf(base_dir, sizeof(base_dir), "%s/nnghttpXXXXXX",
	    (tmp != NULL) ? tmp : "/tmp");
	MUST(mkdtemp(base_dir) != NULL);
	MUST(pipe(p) == 0);
	fcntl(p[0], F_SETFD, FD_CLOEXEC);
	fcntl(p[1], F_SETFD, FD_CLOEXEC);
	switch (fork()) {
	case -1:
		MUST(!"fork");
		break;
	case 0:
		close(p[1]);
		while (read(p[0], &c, 1) != 0) {
		}
		execlp("rm", "rm", "-rf", base_dir, (char *) NULL);
		_exit(1);
	default:
		close(p[0]);
	}
}

// in_base is the path of a name in the directory, in one of a few buffers.
static inline const char *
in_base(const char *name)
{
	static char     buf[8][512];
	static unsigned next;
	char *          p = buf[next++ % 8];

	snprintf(p, sizeof(buf[0]), "%s/%s", base_dir, name);
	return (p);
}

static inline void
make_dir(const char *name)
{
	MUST(mkdir(in_base(name), 0755) == 0);
}

static inline void
make_file(const char *name, const void *data, size_t len)
{
	FILE *f = fopen(in_base(name), "wb");

	MUST(f != NULL);
	MUST(fwrite(data, 1, len, f) == len);
	MUST(fclose(f) == 0);
}

static inline void
make_text(const char *name, const char *text)
{
	make_file(name, text, strlen(text));
}

// make_sparse makes a file of any length that takes no room.
static inline void
make_sparse(const char *name, off_t len)
{
	make_file(name, "", 0);
	MUST(truncate(in_base(name), len) == 0);
}

static inline void
add_directory(server *s, const char *path, const char *name)
{
	nng_http_handler *h;

	MUST(nng_http_handler_alloc_directory(&h, path, in_base(name)) == 0);
	MUST(nng_http_server_add_handler(s->srv, h) == 0);
}

static inline void
add_file(server *s, const char *path, const char *name)
{
	nng_http_handler *h;

	MUST(nng_http_handler_alloc_file(&h, path, in_base(name)) == 0);
	MUST(nng_http_server_add_handler(s->srv, h) == 0);
}

// An answer has the status 0 when the connection ended instead of one.
typedef struct {
	int                status;
	bool               has_length;
	unsigned long long length; // announced
	size_t             got;    // of the body, of which the first are kept
	char               body[4096];
} answer;

static inline void
ask(int fd, const char *method, const char *target)
{
	char   req[8192];
	size_t n;

	n = (size_t) snprintf(req, sizeof(req),
	    "%s %s HTTP/1.1\r\nHost: x\r\n\r\n", method, target);
	MUST(n < sizeof(req));
	(void) send_all(fd, req, n); // the answer tells
}

// read_head reads the head of an answer byte by byte.
static inline void
read_head(int fd, answer *a)
{
	char   head[4096];
	size_t n = 0;
	char * p;

	memset(a, 0, sizeof(*a));
	while (n < sizeof(head) - 1) {
		if (recv(fd, head + n, 1, 0) != 1) {
			return;
		}
		head[++n] = '\0';
		if (n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0) {
			break;
		}
	}
	MUST(sscanf(head, "HTTP/1.1 %d", &a->status) == 1);
	if ((p = strstr(head, "\r\nContent-Length: ")) != NULL) {
		a->has_length = true;
		a->length     = strtoull(p + 18, NULL, 10);
	}
}

// read_body reads the announced body, or what comes of it.
static inline void
read_body(int fd, answer *a)
{
	static char buf[65536];

	while (a->got < a->length) {
		size_t  want = sizeof(buf);
		ssize_t n;

		if (want > a->length - a->got) {
			want = (size_t) (a->length - a->got);
		}
		if ((n = recv(fd, buf, want, 0)) <= 0) {
			break;
		}
		if (a->got < sizeof(a->body) - 1) {
			size_t keep = sizeof(a->body) - 1 - a->got;
			memcpy(a->body + a->got, buf,
			    ((size_t) n < keep) ? (size_t) n : keep);
		}
		a->got += (size_t) n;
	}
}

static inline answer
get_on(int fd, const char *method, const char *target)
{
	answer a;

	ask(fd, method, target);
	read_head(fd, &a);
	if (strcmp(method, "HEAD") != 0) {
		read_body(fd, &a);
	}
	return (a);
}

static inline answer
get(server *s, const char *target)
{
	int    fd = tcp_connect(s->port, 0);
	answer a  = get_on(fd, "GET", target);

	close(fd);
	return (a);
}

// peak_kb is the most memory that the process has had so far, rss_kb what it has now.
static inline long
status_kb(const char *field)
{
	char  line[256];
	long  kb = -1;
	FILE *f  = fopen("/proc/self/status", "r");

	MUST(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, field, strlen(field)) == 0) {
			kb = strtol(line + strlen(field), NULL, 10);
		}
	}
	fclose(f);
	MUST(kb >= 0);
	return (kb);
}

#endif
