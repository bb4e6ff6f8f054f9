// bulk_load PORT SECONDS: reads as fast as it can from one connection.

#include "load.h"

int
main(int argc, char **argv)
{
	static char buf[256 * 1024];

	if (argc != 3) {
		fprintf(stderr, "usage: bulk_load PORT SECONDS\n");
		return (2);
	}
	int      fd    = upgrade(atoi(argv[1]));
	int64_t  start = now();
	int64_t  end   = start + (int64_t) (atof(argv[2]) * 1e6);
	int64_t  t     = start;
	uint64_t bytes = 0;

	while (t < end) {
		ssize_t n = read(fd, buf, sizeof(buf));

		if (n <= 0) {
			die("read");
		}
		bytes += n;
		t = now();
	}
	printf("count=%llu seconds=%.6f\n", (unsigned long long) bytes, (double) (t - start) / 1e6);
	return (0);
}
