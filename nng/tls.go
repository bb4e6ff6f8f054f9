package nng

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unsafe"
)

// #include "http_cgo.h"
import "C"

// TLSMode says which side of TLS a configuration is for (nng_tls_mode).
type TLSMode int

// The sides of TLS.
const (
	TLSClient TLSMode = C.NNG_TLS_MODE_CLIENT
	TLSServer TLSMode = C.NNG_TLS_MODE_SERVER
)

// TLSAuthMode says what is asked of the peer's certificate (nng_tls_auth_mode).
type TLSAuthMode int

// What can be asked of the peer's certificate. Clients start with TLSAuthRequired,
// servers with TLSAuthNone.
const (
	TLSAuthNone     TLSAuthMode = C.NNG_TLS_AUTH_MODE_NONE
	TLSAuthOptional TLSAuthMode = C.NNG_TLS_AUTH_MODE_OPTIONAL
	TLSAuthRequired TLSAuthMode = C.NNG_TLS_AUTH_MODE_REQUIRED
)

// TLSVersion is a protocol version (nng_tls_version).
type TLSVersion int

// The protocol versions that nng has names for.
const (
	TLS10 TLSVersion = C.NNG_TLS_1_0
	TLS11 TLSVersion = C.NNG_TLS_1_1
	TLS12 TLSVersion = C.NNG_TLS_1_2
	TLS13 TLSVersion = C.NNG_TLS_1_3
)

// TLSConfig holds certificates, keys and rules for TLS (nng_tls_config).
//
// It is a description: C checks each setting as it is made, and each server and each
// client gets an nng_tls_config of its own, made from the description by SetTLS. So
// one value serves any number of both, for different hosts, may be changed or closed
// right afterwards, and changes hold for later uses only. In C one configuration for
// all would be frozen by the first connection from 1.9 on, and be changed under its
// users' hands before (defect T1).
//
// No authority is trusted to begin with: name those of the system, if they are wanted, with
// SetCAFile.
//
// Keys and passwords are kept in memory until Close, which overwrites them. All methods
// may be called concurrently.
//
// Errors of those that set something: ErrInvalid, ErrCrypto (not PEM, a wrong password, the
// key of another certificate), ErrNotFound and ErrPermission (a file), ErrNotSupported,
// ErrNoMemory, ErrClosed; ErrBusy for a configuration that Server.TLS or Client.TLS has
// returned and that is in use.
type TLSConfig struct {
	mu      sync.Mutex
	s       *tlsSettings // nil when closed
	cleanup runtime.Cleanup
}

// NewTLSConfig makes an empty configuration (nng_tls_config_alloc).
//
// Errors: ErrNotSupported (a library without TLS, or without an engine for it),
// ErrInvalid, ErrNoMemory.
func NewTLSConfig(mode TLSMode) (*TLSConfig, error) {
	if mode != TLSClient && mode != TLSServer {
		return nil, refuse("new tls config", strconv.Itoa(int(mode)), ErrInvalid, "the mode is TLSClient or TLSServer")
	}
	s := &tlsSettings{mode: mode}
	c, err := s.build("new tls config") // says whether there is TLS
	if err != nil {
		return nil, err
	}
	C.nng_tls_config_free(c)
	return newTLSConfig(s), nil
}

// newTLSConfig makes a TLSConfig that owns a new hold on s.
func newTLSConfig(s *tlsSettings) *TLSConfig {
	s.mu.Lock()
	s.holds++
	s.mu.Unlock()
	t := &TLSConfig{s: s}
	live.tls.Add(1)
	t.cleanup = runtime.AddCleanup(t, func(s *tlsSettings) {
		live.leaked.Add(1)
		live.tls.Add(-1)
		s.release()
	}, s)
	return t
}

// use runs f with the settings, while they cannot be closed.
func (t *TLSConfig) use(op string, f func(*tlsSettings) error) error {
	if t == nil {
		return refuse(op, "", ErrInvalid, "the TLS configuration is nil")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.s == nil {
		return closedError(op)
	}
	return f(t.s)
}

func (t *TLSConfig) set(op, what string, x tlsSetting) error {
	return t.use(op, func(s *tlsSettings) error { return s.add(op, what, x) })
}

// Hold returns a second TLSConfig for the same settings (nng_tls_config_hold): a change
// to one is a change to both. Each is closed on its own.
func (t *TLSConfig) Hold() (*TLSConfig, error) {
	var held *TLSConfig
	err := t.use("tls hold", func(s *tlsSettings) error {
		held = newTLSConfig(s)
		return nil
	})
	return held, err
}

// Close gives the hold up; the last one overwrites keys and passwords and frees the
// configuration (nng_tls_config_free). Servers and clients that were given it go on
// with theirs. Closing twice is harmless.
func (t *TLSConfig) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.s != nil {
		t.cleanup.Stop()
		t.s.release()
		t.s = nil
		live.tls.Add(-1)
	}
	return nil
}

// SetServerName sets the name that the server's certificate must be for, which a
// client also sends in the handshake (nng_tls_config_server_name). Without one, each
// client expects the host of its URL. mbedTLS 2 compares names, not addresses: for a
// URL with an address, a certificate must have it as a name too.
func (t *TLSConfig) SetServerName(name string) error {
	if name == "" || hasSpaceOrControl(name) || len(name) > maxToken {
		return refuse("tls server name", strconv.Quote(short(name)), ErrInvalid, "the name is a host name")
	}
	return t.set("tls server name", name, serverName(name))
}

// SetCAChain sets the certificates, in PEM, that the peer's certificate is verified
// with, and a revocation list, in PEM, if not empty (nng_tls_config_ca_chain). It may
// be called more than once.
func (t *TLSConfig) SetCAChain(certs, crl string) error {
	if err := checkPEM("tls ca chain", certs, crl); err != nil {
		return err
	}
	return t.set("tls ca chain", "", caChain(certs, crl))
}

// SetCAFile is SetCAChain with a file that holds certificates and, if any, the
// revocation list (nng_tls_config_ca_file). It is read once, here.
func (t *TLSConfig) SetCAFile(file string) error {
	if err := checkFileName("tls ca file", file); err != nil {
		return err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return fileError("tls ca file", file, err)
	}
	certs, crl := string(content), ""
	if strings.Contains(certs, "-----BEGIN X509 CRL-----") {
		crl = certs
	}
	x := caChain(certs, crl)
	x.first = func(c *C.nng_tls_config) C.int { return C.nng_tls_config_ca_file(c, cstring(file)) }
	return t.set("tls ca file", file, x)
}

// SetOwnCert sets our own certificate (or chain) and its private key, in PEM, with the
// key's password if not empty (nng_tls_config_own_cert). A server may have several, a
// client one.
func (t *TLSConfig) SetOwnCert(cert, key, password string) error {
	return t.setOwnCert("tls own cert", "", cert, key, password)
}

// SetOwnCertFiles is SetOwnCert with a file for each. They are read once, here.
func (t *TLSConfig) SetOwnCertFiles(certFile, keyFile, password string) error {
	const op = "tls own cert files"
	var content [2]string
	for i, file := range []string{certFile, keyFile} {
		if err := checkFileName(op, file); err != nil {
			return err
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return fileError(op, file, err)
		}
		content[i] = string(b)
	}
	return t.setOwnCert(op, certFile, content[0], content[1], password)
}

func (t *TLSConfig) setOwnCert(op, what, cert, key, password string) error {
	if err := checkPEM(op, cert, key); err != nil {
		return err
	}
	if hasNUL(password) {
		return refuse(op, what, ErrInvalid, "the password holds a NUL")
	}
	if err := checkKeyPair(op, what, []byte(cert), []byte(key)); err != nil {
		return err
	}
	return t.set(op, what, ownCert(cert, key, password))
}

// SetCertKeyFile is SetOwnCert with a file that holds both
// (nng_tls_config_cert_key_file). It is read once, here.
func (t *TLSConfig) SetCertKeyFile(file, password string) error {
	if err := checkFileName("tls cert key file", file); err != nil {
		return err
	}
	if hasNUL(password) {
		return refuse("tls cert key file", file, ErrInvalid, "the password holds a NUL")
	}
	both, err := os.ReadFile(file)
	if err != nil {
		return fileError("tls cert key file", file, err)
	}
	if err := checkKeyPair("tls cert key file", file, both, both); err != nil {
		return err
	}
	x := ownCert(string(both), string(both), password)
	clear(both)
	x.first = func(c *C.nng_tls_config) C.int {
		return C.nng_tls_config_cert_key_file(c, cstring(file), cstringOrNil(password))
	}
	return t.set("tls cert key file", file, x)
}

// SetKey is nng_tls_config_key, which tls.h declares and no release with TLS contains:
// it answers ErrNotSupported. Use SetOwnCert.
func (t *TLSConfig) SetKey(key []byte) error {
	if len(key) == 0 {
		return refuse("tls key", "", ErrInvalid, "the key is empty")
	}
	kept := bytes.Clone(key)
	return t.set("tls key", "", tlsSetting{secrets: [][]byte{kept}, apply: func(c *C.nng_tls_config) C.int {
		return C.nngo_tls_config_key(c, (*C.uint8_t)(unsafe.Pointer(&kept[0])), C.size_t(len(kept)))
	}})
}

// SetPass is nng_tls_config_pass, which tls.h declares and no release with TLS
// contains: it answers ErrNotSupported. Use SetOwnCert.
func (t *TLSConfig) SetPass(password string) error {
	if hasNUL(password) {
		return refuse("tls pass", "", ErrInvalid, "the password holds a NUL")
	}
	kept := cbytes(password)
	return t.set("tls pass", "", tlsSetting{secrets: [][]byte{kept}, apply: func(c *C.nng_tls_config) C.int {
		return C.nngo_tls_config_pass(c, charPtr(kept))
	}})
}

// SetAuthMode says what is asked of the peer's certificate (nng_tls_config_auth_mode).
func (t *TLSConfig) SetAuthMode(mode TLSAuthMode) error {
	if mode < TLSAuthNone || mode > TLSAuthRequired {
		return refuse("tls auth mode", strconv.Itoa(int(mode)), ErrInvalid, "the mode is one of the TLSAuth constants")
	}
	return t.set("tls auth mode", "", tlsSetting{only: tlsAuth, apply: func(c *C.nng_tls_config) C.int {
		return C.nng_tls_config_auth_mode(c, C.nng_tls_auth_mode(mode))
	}})
}

// SetVersion sets the lowest and the highest protocol version
// (nng_tls_config_version). Without it, nng takes TLS 1.2 and newer.
//
// Errors: ErrNotSupported (as in C for what are not two versions, the lowest first, and when
// the engine has none of them; mbedTLS 2 ends at TLS 1.2), ErrBusy, ErrClosed.
func (t *TLSConfig) SetVersion(lowest, highest TLSVersion) error {
	if lowest < TLS10 || highest > TLS13 || lowest > highest {
		return refuse("tls version", "", ErrNotSupported, "the versions go from TLS10 to TLS13, the lowest first")
	}
	return t.set("tls version", "", tlsSetting{only: tlsVersions, apply: func(c *C.nng_tls_config) C.int {
		return C.nng_tls_config_version(c, C.nng_tls_version(lowest), C.nng_tls_version(highest))
	}})
}

// SetMinVersion is SetVersion without a highest version (nng_tls_config_version). Errors:
// those of SetVersion.
func (t *TLSConfig) SetMinVersion(lowest TLSVersion) error { return t.SetVersion(lowest, TLS13) }

// TLSEngineName returns the name of the TLS engine, "none" without TLS
// (nng_tls_engine_name).
func TLSEngineName() string { return C.GoString(C.nng_tls_engine_name()) }

// TLSEngineDescription returns the engine's name and version
// (nng_tls_engine_description).
func TLSEngineDescription() string { return C.GoString(C.nng_tls_engine_description()) }

// TLSEngineFIPSMode reports whether the engine is in FIPS 140-2 mode
// (nng_tls_engine_fips_mode).
func TLSEngineFIPSMode() bool { return bool(C.nng_tls_engine_fips_mode()) }

func hasNUL(s string) bool { return strings.IndexByte(s, 0) >= 0 }

func checkPEM(op, first, second string) error {
	if first == "" || hasNUL(first) || hasNUL(second) {
		return refuse(op, "", ErrInvalid, "PEM text is expected; it is empty or holds a NUL")
	}
	return nil
}

// fileError is the error of a file that cannot be read, as C would give it.
func fileError(op, file string, err error) error {
	code := ErrSystem
	var sys syscall.Errno
	switch {
	case errors.Is(err, fs.ErrNotExist):
		code = ErrNotFound
	case errors.Is(err, fs.ErrPermission):
		code = ErrPermission
	case errors.As(err, &sys):
		code += Errno(sys)
	}
	return &OpError{Op: op, URL: file, Err: code}
}
