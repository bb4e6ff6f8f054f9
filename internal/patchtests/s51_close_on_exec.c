// S51. A descriptor must not be inherited by a child that another thread starts, not even
// for the moment between its making and the setting of its flag.
// build: -Wl,--wrap=fcntl,--wrap=open,--wrap=fopen

#include "fileutil.h"

#include <nng/protocol/pair0/pair.h>

static bool         watching; // what is called is called by the library
static volatile int flagged; // descriptors that the library has set the flag of
static volatile int opened;  // files

int   __real_fcntl(int, int, long);
int   __real_open(const char *, int, int);
FILE *__real_fopen(const char *, const char *);

static bool
inherited(int fd)
{
	return ((__real_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC) == 0);
}

int
__wrap_fcntl(int fd, int cmd, long arg)
{
	if (watching && cmd == F_SETFD && (arg & FD_CLOEXEC) != 0) {
		CHECK(!inherited(fd), "%s: descriptor %d has no flag at first",
		    test_step, fd);
		flagged++;
	}
	return (__real_fcntl(fd, cmd, arg));
}

int
__wrap_open(const char *name, int flags, int mode)
{
	CHECK((flags & O_CLOEXEC) != 0, "%s: opens %s without the flag",
	    test_step, name);
	opened++;
	return (__real_open(name, flags, mode));
}

FILE *
__wrap_fopen(const char *name, const char *mode)
{
	CHECK(strchr(mode, 'e') != NULL, "%s: opens %s without the flag",
	    test_step, name);
	opened++;
	return (__real_fopen(name, mode));
}

// What the library has for itself.
typedef struct nni_plat_udp nni_plat_udp;
int  nni_plat_udp_open(nni_plat_udp **, nng_sockaddr *);
void nni_plat_udp_close(nni_plat_udp *);
int  nni_plat_file_put(const char *, const void *, size_t);
int  nni_plat_file_lock(const char *, int *);
void nni_plat_file_unlock(int *);

static int own[256]; // descriptors of the test
static int n_own;

static int
mine(int fd)
{
	MUST(n_own < 256);
	own[n_own++] = fd;
	return (fd);
}

static void
step(const char *what)
{
	flagged   = 0;
	opened    = 0;
	test_step = what;
}

static void
test_ipc(void)
{
	char                 url[300];
	nng_stream_listener *l;
	nng_stream_dialer *  d;
	op                   a, c;

	step("ipc");
	snprintf(url, sizeof(url), "ipc://%s", in_base("ipc"));
	MUST(nng_stream_listener_alloc(&l, url) == 0);
	MUST(nng_stream_dialer_alloc(&d, url) == 0);
	MUST(nng_stream_listener_listen(l) == 0);
	op_init(&a);
	op_init(&c);
	nng_stream_listener_accept(l, op_start(&a));
	nng_stream_dialer_dial(d, op_start(&c));
	MUST(op_wait(&a, 5000) == 0);
	MUST(op_wait(&c, 5000) == 0);
	MUST(flagged >= 3);
}

int
main(void)
{
	static const char key[] = "no key";
	struct stat       st;
	server            s;
	nng_socket        pair;
	nng_sockaddr      sa  = { 0 };
	nng_tls_config *  cfg = NULL;
	nni_plat_udp *    udp;
	nng_http_client * c;
	int               fd;

	test_init();
	signal(SIGALRM, SIG_DFL);
	make_base();
	MUST((fd = __real_open(in_base("page"), O_CREAT | O_WRONLY, 0600)) >= 0);
	MUST(write(fd, key, sizeof(key)) == sizeof(key));
	close(fd);
	for (fd = 0; fd < 256; fd++) {
		if (fstat(fd, &st) == 0) {
			mine(fd);
		}
	}

	watching = true;
	step("nng's threads");
	server_open(&s, false);
	add_file(&s, "/page", "page");
	add_directory(&s, "/dir", "");
	MUST(flagged >= 1);

	step("a listener");
	server_start(&s);
	MUST(flagged >= 1);

	step("accepting");
	fd = mine(tcp_connect(s.port, 0));
	MUST(get_on(fd, "GET", "/page").status == 200);
	MUST(flagged >= 1);

	step("files");
	MUST(get_on(fd, "GET", "/dir/page").status == 200);
	MUST(opened == 1);
	MUST(nng_http_server_set_error_file(s.srv, 404, in_base("page")) == 0);
	MUST(opened == 2);
	MUST(nng_tls_config_alloc(&cfg, NNG_TLS_MODE_CLIENT) == 0);
	MUST(nng_tls_config_ca_file(cfg, in_base("page")) != 0);
	MUST(opened == 3);
	MUST(nni_plat_file_put(in_base("put"), key, sizeof(key)) == 0);
	MUST(opened == 4);
	MUST(nni_plat_file_lock(in_base("lock"), &fd) == 0);
	MUST(opened == 5);
	nni_plat_file_unlock(&fd);

	step("connecting");
	c = client_open(s.port, false);
	(void) client_connect(c);
	MUST(flagged >= 1);

	step("udp");
	sa.s_in.sa_family = NNG_AF_INET;
	sa.s_in.sa_addr   = htonl(INADDR_LOOPBACK);
	MUST(nni_plat_udp_open(&udp, &sa) == 0);
	MUST(flagged >= 1);

	step("a pipe");
	MUST(nng_pair0_open(&pair) == 0);
	MUST(nng_socket_get_int(pair, NNG_OPT_RECVFD, &fd) == 0);
	MUST(flagged >= 2);

	test_ipc();

	// Nothing is without the flag in the end.
	for (fd = 0; fd < 256; fd++) {
		bool skip = false;
		for (int i = 0; i < n_own; i++) {
			skip = skip || own[i] == fd;
		}
		CHECK(skip || fstat(fd, &st) != 0 || !inherited(fd),
		    "descriptor %d has no flag", fd);
	}
	return (test_ok("nothing can be inherited"));
}
