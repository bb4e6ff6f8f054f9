package nng

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"strings"
)

// checkKeyPair refuses a private key that is not the certificate's. C takes such a
// pair, and every handshake fails. Keys that cannot be read here, such as encrypted
// ones, are left to C.
func checkKeyPair(op, file string, certs, keys []byte) error {
	cert := firstPEM(certs, "CERTIFICATE")
	key := firstPEM(keys, "PRIVATE KEY")
	if cert == nil || key == nil {
		return nil
	}
	leaf, err := x509.ParseCertificate(cert.Bytes)
	if err != nil {
		return nil
	}
	private := parseKey(key.Bytes)
	if private == nil {
		return nil
	}
	public, ok := private.Public().(interface{ Equal(crypto.PublicKey) bool })
	if ok && !public.Equal(leaf.PublicKey) {
		return refuse(op, file, ErrCrypto, "the private key is not the one of the certificate")
	}
	return nil
}

// firstPEM returns the first block whose type ends in kind.
func firstPEM(data []byte, kind string) *pem.Block {
	for {
		block, rest := pem.Decode(data)
		if block == nil || strings.HasSuffix(block.Type, kind) {
			return block
		}
		data = rest
	}
}

func parseKey(der []byte) crypto.Signer {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		signer, _ := key.(crypto.Signer)
		return signer
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key
	}
	return nil
}
