package egress

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// LoadPool reads the certificates that a server's chain may end in. One that
// does not parse is an error, as is a text without any: a root that is silently
// left out fails much later and far away.
func LoadPool(text []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	n := 0
	for rest := text; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("reading certificate %d: a block of type %q is no certificate", n+1, block.Type)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading certificate %d: %w", n+1, err)
		}
		pool.AddCert(certificate)
		n++
	}
	if n == 0 {
		return nil, errors.New("reading certificates: no PEM block of type CERTIFICATE")
	}
	return pool, nil
}

// LoadPair reads a client certificate, with its chain, and its key. Errors quote
// neither.
func LoadPair(certificate, key []byte) (tls.Certificate, error) {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading client certificate and key: %w", err)
	}
	return pair, nil
}
