package settings

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"time"
)

// Material is what certificate files hold, parsed.
type Material struct {
	ca          []byte
	roots       *x509.CertPool
	certificate *tls.Certificate
	pair        []byte // certificate and key as read, for the fingerprint alone
}

func orEmpty(m *Material) *Material {
	if m == nil {
		return &Material{}
	}
	return m
}

// CA returns the certificates of the private authority in PEM form; nil = the
// system's roots are trusted.
func (m *Material) CA() []byte { return bytes.Clone(m.ca) }

// RootCAs returns the pool of the private authority; nil = the system's roots
// are trusted.
func (m *Material) RootCAs() *x509.CertPool {
	if m.roots == nil {
		return nil
	}
	return m.roots.Clone()
}

// Certificates returns the client certificate with its key, or nothing.
func (m *Material) Certificates() []tls.Certificate {
	if m.certificate == nil {
		return nil
	}
	return []tls.Certificate{*m.certificate}
}

// expiry returns when the client certificate expires.
func (m *Material) expiry() (time.Time, bool) {
	if m.certificate == nil || m.certificate.Leaf == nil {
		return time.Time{}, false
	}
	return m.certificate.Leaf.NotAfter, true
}

// loadMaterial reads and parses certificate files; names that are "" are not
// asked for. report receives the key at fault and what is wrong with it.
func loadMaterial(p Place, base, caFile, certFile, keyFile string, report func(key, message string)) *Material {
	m := &Material{}
	if caFile != "" {
		if data, message := p.read(base, caFile, maxPEM); message != "" {
			report("caFile", message)
		} else if roots, message := parsePool(data, false); message != "" {
			report("caFile", "names "+p.shown(base, caFile)+", which "+message)
		} else {
			m.ca, m.roots = data, roots
		}
	}
	switch {
	case certFile == "" && keyFile == "":
		return m
	case keyFile == "":
		report("certFile", "needs keyFile beside it")
		return m
	case certFile == "":
		report("keyFile", "needs certFile beside it")
		return m
	}
	cert, certMessage := p.read(base, certFile, maxPEM)
	if certMessage != "" {
		report("certFile", certMessage)
	}
	key, keyMessage := p.read(base, keyFile, maxPEM)
	if keyMessage != "" {
		report("keyFile", keyMessage)
	}
	if certMessage != "" || keyMessage != "" {
		return m
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		at, message := pairMistake(cert, key, err)
		name := certFile
		if at == "keyFile" {
			name = keyFile
		}
		report(at, "names "+p.shown(base, name)+", which "+message)
		return m
	}
	m.certificate = &pair
	m.pair = append(bytes.Clone(cert), key...)
	return m
}

// parsePool reads certificates in PEM form. It is stricter than
// x509.CertPool.AppendCertsFromPEM, which passes over what it cannot read. A
// key may stand beside a client's certificate, not beside an authority's.
func parsePool(data []byte, withKey bool) (*x509.CertPool, string) {
	pool := x509.NewCertPool()
	found := false
	for {
		var block *pem.Block
		block, data = pem.Decode(data)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			if !withKey && strings.HasSuffix(block.Type, "PRIVATE KEY") {
				return nil, "holds a private key, not the certificate of an authority"
			}
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, "holds a certificate that cannot be parsed"
		}
		pool.AddCert(cert)
		found = true
	}
	if !found {
		return nil, "holds no certificate in PEM form"
	}
	return pool, ""
}

// pairMistake says which file of a pair is wrong, and how. The library's text
// is not passed on: it is about bytes of a private key.
func pairMistake(cert, key []byte, err error) (file, message string) {
	if _, message := parsePool(cert, true); message != "" {
		return "certFile", message
	}
	block, hasKey := privateKey(key)
	switch {
	case !hasKey:
		return "keyFile", "holds no private key in PEM form"
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		return "keyFile", "holds an encrypted key: only a plain one can be used"
	case errors.Is(err, errors.ErrUnsupported) || strings.Contains(err.Error(), "parse"):
		return "keyFile", "holds a private key that cannot be parsed"
	default:
		return "keyFile", "does not hold the key of the certificate"
	}
}

func privateKey(data []byte) (*pem.Block, bool) {
	for {
		var block *pem.Block
		block, data = pem.Decode(data)
		if block == nil {
			return nil, false
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return block, true
		}
	}
}
