package nng

import (
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"unsafe"
)

// #include "http_cgo.h"
import "C"

// tcpAddr turns a C socket address into Go's; nil when the family is not IP.
func tcpAddr(sa *C.nng_sockaddr) *net.TCPAddr {
	switch *(*C.uint16_t)(unsafe.Pointer(sa)) {
	case C.NNG_AF_INET:
		in := (*C.nng_sockaddr_in)(unsafe.Pointer(sa))
		ip := *(*[4]byte)(unsafe.Pointer(&in.sa_addr))
		return &net.TCPAddr{IP: net.IP(ip[:]), Port: networkPort(in.sa_port)}
	case C.NNG_AF_INET6:
		in6 := (*C.nng_sockaddr_in6)(unsafe.Pointer(sa))
		ip := *(*[16]byte)(unsafe.Pointer(&in6.sa_addr))
		addr := &net.TCPAddr{IP: net.IP(ip[:]), Port: networkPort(in6.sa_port)}
		if in6.sa_scope != 0 {
			addr.Zone = strconv.Itoa(int(in6.sa_scope))
		}
		return addr
	}
	return nil
}

// peerAddr is a C socket address as text; "" when the family is not IP.
func peerAddr(sa *C.nng_sockaddr) string {
	switch *(*C.uint16_t)(unsafe.Pointer(sa)) {
	case C.NNG_AF_INET:
		in := (*C.nng_sockaddr_in)(unsafe.Pointer(sa))
		ip := *(*[4]byte)(unsafe.Pointer(&in.sa_addr))
		return peerText(netip.AddrPortFrom(netip.AddrFrom4(ip), uint16(networkPort(in.sa_port))))
	case C.NNG_AF_INET6:
		return tcpAddr(sa).String()
	}
	return ""
}

// A peerName is an address and its text.
type peerName struct {
	addr netip.AddrPort
	text string
}

// peerNames are those of late, by port: most connections bring more than one request.
var peerNames [256]atomic.Pointer[peerName]

func peerText(addr netip.AddrPort) string {
	place := &peerNames[addr.Port()%uint16(len(peerNames))]
	if known := place.Load(); known != nil && known.addr == addr {
		return known.text
	}
	text := addr.String()
	place.Store(&peerName{addr, text})
	return text
}

// networkPort reads a port kept in network byte order.
func networkPort(p C.uint16_t) int {
	b := *(*[2]byte)(unsafe.Pointer(&p))
	return int(b[0])<<8 | int(b[1])
}
