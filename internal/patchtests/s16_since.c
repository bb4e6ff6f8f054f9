// S16. A connection that comes while a server has no limits gets all of its time when there
// are limits again, however long there were some before.

#include "limits.h"

#define HEAD 1000

int
main(void)
{
	server s;
	int    first, second;

	test_init();
	server_open(&s, false);
	server_add(&s, "/", hello_cb);
	server_start(&s);
	set_limits(&s, 600000, 0, 0, 0, 0);
	test_step = "two connections";
	first     = tcp_connect(s.port, 0);
	sleep_ms(2 * HEAD);
	set_limits(&s, 0, 0, 0, 0, 0);
	second = tcp_connect(s.port, 0);
	while (stat_of(&s, STAT_CONNS) != 2) {
		sleep_ms(5); // ended by the alarm
	}
	test_step = "limits again";
	set_limits(&s, HEAD, 0, 0, 0, 0);
	silent_end(second, HEAD);
	close(first);
	nng_http_server_stop(s.srv);
	nng_http_server_release(s.srv);
	return (test_ok("nobody is late before his time"));
}
