// TEST ONLY. A self-signed certificate and its private key, made with openssl
// for the tests in this folder. The key is public: never use it for real.
// Subject and issuer CN=localhost, names localhost and 127.0.0.1, valid from
// 2020 to 2120, EC P-256. The certificate is its own CA.

#ifndef TESTCERT_H
#define TESTCERT_H

static const char test_cert_pem[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBpzCCAU2gAwIBAgIBATAKBggqhkjOPQQDAjA0MRIwEAYDVQQDDAlsb2NhbGhv\n"
    "c3QxHjAcBgNVBAoMFW5uZyBiaW5kaW5nIHRlc3Qgb25seTAgFw0yMDAxMDEwMDAw\n"
    "MDBaGA8yMTIwMDEwMTAwMDAwMFowNDESMBAGA1UEAwwJbG9jYWxob3N0MR4wHAYD\n"
    "VQQKDBVubmcgYmluZGluZyB0ZXN0IG9ubHkwWTATBgcqhkjOPQIBBggqhkjOPQMB\n"
    "BwNCAAQIF05nocP3NAHJTZj3PgDTdrB6q51sPKdW7BHTIyuP8Yrmmh4VAW48Uyx3\n"
    "frt6x0PkccBb/4IH3uAHziWij+npo04wTDAPBgNVHRMBAf8EBTADAQH/MBoGA1Ud\n"
    "EQQTMBGCCWxvY2FsaG9zdIcEfwAAATAdBgNVHQ4EFgQUyFUij21ZXcoJNIVgnXuu\n"
    "V0eiwUswCgYIKoZIzj0EAwIDSAAwRQIhANzhPvXz6LaC827sQkXK4I4sz/Uk9Own\n"
    "CPjmRu2vMKOUAiAqgUG8/wRqCke3aVuTBaV6a8F44ChCA3XGyh2l+lR02Q==\n"
    "-----END CERTIFICATE-----\n";

static const char test_key_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgfcuh42DZiHkVt5HR\n"
    "OZzzlgz2K+BcY03CYNVllzM3r56hRANCAAQIF05nocP3NAHJTZj3PgDTdrB6q51s\n"
    "PKdW7BHTIyuP8Yrmmh4VAW48Uyx3frt6x0PkccBb/4IH3uAHziWij+np\n"
    "-----END PRIVATE KEY-----\n";

#endif
