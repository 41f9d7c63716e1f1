package provider

import (
	"encoding/binary"
	"time"
)

const (
	nonceLifetime = 5 * time.Minute
	noncePurpose  = "dpop-nonce"
)

// nonce makes a DPoP nonce (RFC 9449 section 8): the sealed time. So nothing is kept, any number of processes with the same keys know each
// other's nonces, and proofs cannot be made in advance.
func (p *Provider) nonce() string {
	return p.Seal.Seal(noncePurpose, p.Issuer, binary.BigEndian.AppendUint64(nil, uint64(p.Now().Unix())))
}

// fresh tells whether a nonce is one of ours and not too old. It may be used again until it is: what makes a proof work once is its jti.
func (p *Provider) fresh(nonce string) bool {
	raw, err := p.Seal.Open(noncePurpose, p.Issuer, nonce)
	if err != nil || len(raw) != 8 {
		return false
	}
	age := p.Now().Sub(time.Unix(int64(binary.BigEndian.Uint64(raw)), 0))
	return age >= -clocks && age < nonceLifetime
}
