package nng

import (
	"sync"
	"unsafe"
)

// #include "http_cgo.h"
import "C"

// tlsSettings are what the holds of one TLSConfig share: a description of an
// nng_tls_config, or, when it came from a server or client, that one itself.
type tlsSettings struct {
	mode TLSMode

	mu    sync.Mutex
	holds int
	list  []tlsSetting
	c     *cTLSConfig // nil for a description
}

// A tlsSetting is one call of a function of tls.h, to be made for each nng_tls_config.
type tlsSetting struct {
	only    tlsKind
	apply   func(*C.nng_tls_config) C.int
	first   func(*C.nng_tls_config) C.int // what the user's own call does, if not apply
	secrets [][]byte                      // that apply uses
}

// Of some settings only the last one counts.
type tlsKind int

const (
	tlsMany tlsKind = iota
	tlsName
	tlsAuth
	tlsVersions
)

func serverName(name string) tlsSetting {
	n := cbytes(name)
	return tlsSetting{only: tlsName, apply: func(c *C.nng_tls_config) C.int {
		return C.nng_tls_config_server_name(c, charPtr(n))
	}}
}

func caChain(certs, crl string) tlsSetting {
	p, l := cbytes(certs), cbytes(crl)
	return tlsSetting{apply: func(c *C.nng_tls_config) C.int {
		return C.nng_tls_config_ca_chain(c, charPtr(p), charPtrOrNil(l))
	}}
}

func ownCert(cert, key, password string) tlsSetting {
	p, k, w := cbytes(cert), cbytes(key), cbytes(password)
	return tlsSetting{secrets: [][]byte{k, w, p}, apply: func(c *C.nng_tls_config) C.int {
		return C.nng_tls_config_own_cert(c, charPtr(p), charPtr(k), charPtrOrNil(w))
	}}
}

func (x *tlsSetting) wipe() {
	for _, b := range x.secrets {
		clear(b)
	}
}

// add makes a setting. One that C refuses leaves nothing behind: C itself keeps, for
// example, the good certificates of a chain with a bad one.
func (s *tlsSettings) add(op, what string, x tlsSetting) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c != nil {
		defer x.wipe() // C has its own copy
		return s.c.change(op, what, x)
	}
	c, err := s.build(op)
	if err != nil {
		return err
	}
	defer C.nng_tls_config_free(c)
	first := x.first
	if first == nil {
		first = x.apply
	}
	if rv := first(c); rv != 0 {
		x.wipe()
		return check(op, what, int(rv))
	}
	x.first = nil
	if x.only != tlsMany {
		for i := range s.list {
			if s.list[i].only == x.only {
				s.list[i] = x
				return nil
			}
		}
	}
	s.list = append(s.list, x)
	return nil
}

// build makes an nng_tls_config, which the caller frees. Settings in more come last.
func (s *tlsSettings) build(op string, more ...tlsSetting) (*C.nng_tls_config, error) {
	var c *C.nng_tls_config
	if rv := C.nng_tls_config_alloc(&c, C.nng_tls_mode(s.mode)); rv != 0 {
		return nil, check(op, "", int(rv))
	}
	for _, list := range [][]tlsSetting{s.list, more} {
		for i := range list {
			if rv := list[i].apply(c); rv != 0 {
				C.nng_tls_config_free(c)
				return nil, check(op, "", int(rv))
			}
		}
	}
	return c, nil
}

// instance is the nng_tls_config for one server or client, which releases it. Clients
// give their host, which is the server's name if none was set: without a name nng would
// not check for whom a certificate was made (defect CL23).
func (s *tlsSettings) instance(op string, mode TLSMode, host string) (*cTLSConfig, error) {
	if s.mode != mode {
		return nil, refuse(op, "", ErrInvalid, "servers need a configuration made with TLSServer, clients one with TLSClient")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c != nil {
		return s.c.hold(), nil
	}
	named := host == ""
	for i := range s.list {
		named = named || s.list[i].only == tlsName
	}
	var name []tlsSetting
	if !named {
		name = append(name, serverName(host))
	}
	c, err := s.build(op, name...)
	if err != nil {
		return nil, err
	}
	return ownTLSConfig(c), nil
}

// release gives up one hold.
func (s *tlsSettings) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holds--; s.holds > 0 {
		return
	}
	for i := range s.list {
		s.list[i].wipe()
	}
	s.list = nil
	if s.c != nil {
		s.c.release()
		s.c = nil
	}
}

// A cTLSConfig is one nng_tls_config that a server or client uses. Each of its users has
// a hold of its own.
type cTLSConfig struct {
	c *C.nng_tls_config

	mu   sync.Mutex
	used bool
}

// ownTLSConfig takes over one hold on c.
func ownTLSConfig(c *C.nng_tls_config) *cTLSConfig {
	live.tls.Add(1)
	return &cTLSConfig{c: c}
}

// hold adds a hold, for another user.
func (t *cTLSConfig) hold() *cTLSConfig {
	C.nngo_tls_config_hold(t.c)
	live.tls.Add(1)
	return t
}

// release gives up one hold; nil is fine.
func (t *cTLSConfig) release() {
	if t != nil {
		C.nng_tls_config_free(t.c)
		live.tls.Add(-1)
	}
}

// freeze is called before connections use the configuration; nil is fine.
func (t *cTLSConfig) freeze() {
	if t != nil {
		t.mu.Lock()
		t.used = true
		t.mu.Unlock()
	}
}

// change makes a setting unless connections may be using the configuration: C would
// refuse that from 1.9 on, and before then change it as they read it.
func (t *cTLSConfig) change(op, what string, x tlsSetting) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.used {
		return refuse(op, what, ErrBusy, "it is in use; give SetTLS a new one")
	}
	if x.first != nil {
		return check(op, what, int(x.first(t.c)))
	}
	return check(op, what, int(x.apply(t.c)))
}

// cbytes is s with a NUL behind it.
func cbytes(s string) []byte {
	b := make([]byte, len(s)+1)
	copy(b, s)
	return b
}

func charPtr(b []byte) *C.char { return (*C.char)(unsafe.Pointer(&b[0])) }

func charPtrOrNil(b []byte) *C.char {
	if len(b) == 1 {
		return nil
	}
	return charPtr(b)
}
