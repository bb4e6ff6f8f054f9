# The releases of libnng that this project can build, newest last.
#
# Read by CMakeLists.txt (as CMake) and by scripts/fetch-nng (line by line), so
# every entry is one plain `set(NAME "VALUE")` on a line of its own.
#
# The SHA-256 is that of the release tarball. GitHub's tag archive and Debian's
# orig.tar.gz are the same file byte for byte, so one pin serves both origins.

set(NNG_KNOWN_VERSIONS "1.5.2 1.10.1 1.12.4")
set(NNG_DEFAULT_VERSION "1.5.2")

# What is built when no version was asked for and the machine's mbedTLS is too
# new for the default (see NNG_MBEDTLS_BELOW_* here).
set(NNG_DEFAULT_VERSION_NEW_MBEDTLS "1.10.1")

set(NNG_SHA256_1.5.2 "f8b25ab86738864b1f2e3128e8badab581510fa8085ff5ca9bb980d317334c46")
set(NNG_SHA256_1.10.1 "a05936a64851809ea4b6d4d96d80f2a1b815ef14d6c4f6dd2c8716bd38dd1822")
set(NNG_SHA256_1.12.4 "93b177727ec5ea38af5c88ab297f732ef71ddc4700d2407c4f9c999b3a7310a0")

# Debian suites whose source package carries the release, tried left to right.
set(NNG_DEBIAN_SUITES_1.5.2 "bookworm")
set(NNG_DEBIAN_SUITES_1.10.1 "trixie")
set(NNG_DEBIAN_SUITES_1.12.4 "forky sid")

# TLS breaks from this mbedTLS on (upstream issue 1661).
set(NNG_MBEDTLS_BELOW_1.5.2 "3.3")
