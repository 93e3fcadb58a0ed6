package sinks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// secretPrefix begins the usual spelling of a Standard Webhooks secret.
const secretPrefix = "whsec_"

// ParseSigningSecret reads a Standard Webhooks secret: base64, with or without
// "whsec_" in front. The error never quotes it.
func ParseSigningSecret(text string) ([]byte, error) {
	text = strings.TrimPrefix(strings.TrimSpace(text), secretPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		// The library's error tells a position, not a value; still, a position in a secret is nobody's business.
		return nil, errors.New("signing secret is not base64")
	}
	// 24 to 64 bytes, Standard Webhooks.
	if len(key) < 24 || len(key) > 64 {
		return nil, fmt.Errorf("signing secret has %d bytes: 24 to 64 are allowed", len(key))
	}
	return key, nil
}

// signature is the value of webhook-signature: over id, timestamp and the body
// as it is before compression.
func signature(key []byte, id, timestamp string, parts ...[]byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id))
	mac.Write([]byte{'.'})
	mac.Write([]byte(timestamp))
	mac.Write([]byte{'.'})
	for _, part := range parts {
		mac.Write(part)
	}
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
