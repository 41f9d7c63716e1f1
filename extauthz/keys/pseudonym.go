package keys

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// Pseudonym is the opaque and stable id that a key makes of some parts: HMAC-SHA-256 over the parts, each after its length, since ("ab", "c")
// and ("a", "bc") must differ, cut to 128 bits, base64url.
func Pseudonym(key []byte, parts ...string) string {
	mac := hmac.New(sha256.New, key)
	for _, part := range parts {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		mac.Write([]byte(part))
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}
