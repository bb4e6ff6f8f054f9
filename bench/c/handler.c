// A handler as nng's manual writes it.

#include "server.h"

static void
hello(nng_aio *aio)
{
	nng_http_res *res;
	int           rv;

	if ((rv = nng_http_res_alloc(&res)) != 0) {
		nng_aio_finish(aio, rv);
		return;
	}
	if (((rv = nng_http_res_copy_data(res, "Hello, World!", 13)) != 0) ||
	    ((rv = nng_http_res_set_header(res, "Content-Type", "text/plain")) != 0)) {
		nng_http_res_free(res);
		nng_aio_finish(aio, rv);
		return;
	}
	nng_aio_set_output(aio, 0, res);
	nng_aio_finish(aio, 0);
}

int
main(int argc, char **argv)
{
	return (serve(argc, argv, hello));
}
