// Package devcert makes certificates for development and tests.
package devcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Cert is a certificate with its private key, an ECDSA one on P-256, which every TLS
// library takes.
type Cert struct {
	CertPEM, KeyPEM string
	Leaf            *x509.Certificate
	Key             *ecdsa.PrivateKey
}

// SelfSigned makes a certificate for hosts, which are names and IP addresses. Who trusts
// it trusts these hosts and nobody else: it is no authority.
func SelfSigned(validFor time.Duration, hosts ...string) (*Cert, error) {
	return create(validFor, hosts, nil)
}

// Authority makes a certificate that others can be issued with.
func Authority(validFor time.Duration, name string) (*Cert, error) {
	template := newTemplate(validFor, name)
	template.IsCA = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	template.ExtKeyUsage = nil
	return sign(template, nil)
}

// Issue makes a certificate for hosts with the authority c.
func (c *Cert) Issue(validFor time.Duration, hosts ...string) (*Cert, error) {
	return create(validFor, hosts, c)
}

// Fingerprint is the SHA-256 of the certificate, as OpenSSL and browsers write it.
func (c *Cert) Fingerprint() string {
	sum := sha256.Sum256(c.Leaf.Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

func create(validFor time.Duration, hosts []string, issuer *Cert) (*Cert, error) {
	if len(hosts) == 0 {
		return nil, errors.New("a certificate needs a host")
	}
	template := newTemplate(validFor, trim(hosts[0]))
	for _, host := range hosts {
		host = trim(host)
		// Addresses are names too, because mbedTLS 2 compares names only.
		template.DNSNames = append(template.DNSNames, host)
		if ip, err := netip.ParseAddr(host); err == nil {
			template.IPAddresses = append(template.IPAddresses, ip.WithZone("").AsSlice())
		} else if !isName(host) {
			return nil, fmt.Errorf("%q is neither a host name nor an IP address", host)
		}
	}
	// A self-signed certificate says nothing of what its key may sign. Limited to the
	// handshake, OpenSSL would not take it as its own issuer.
	if issuer != nil {
		template.KeyUsage = x509.KeyUsageDigitalSignature
	}
	return sign(template, issuer)
}

func newTemplate(validFor time.Duration, name string) *x509.Certificate {
	now := time.Now()
	if len(name) > 64 { // the longest common name there is; who verifies looks elsewhere
		name = name[:64]
	}
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-time.Hour), // for clocks that are behind
		NotAfter:              now.Add(validFor),
		BasicConstraintsValid: true,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// sign makes the key and the certificate, signed by itself without an issuer.
func sign(template *x509.Certificate, issuer *Cert) (*Cert, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.Leaf, issuer.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &Cert{
		CertPEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		KeyPEM:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})),
		Leaf:    leaf,
		Key:     key,
	}, nil
}

// trim takes the brackets from an IPv6 address.
func trim(host string) string {
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		return host[1 : len(host)-1]
	}
	return host
}

// isName reports whether host is a DNS name in ASCII, or a wildcard for such.
func isName(host string) bool {
	host = strings.TrimPrefix(host, "*.")
	if len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}
