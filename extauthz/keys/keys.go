// Package keys holds our own keys, for signing and for sealing, and the public keys of others, and verifies compact JWTs in
// one strict way.
//
// It owns key files and their rotation, published key sets (RFC 7517), the sealed form of opaque values and what makes a
// token acceptable in general (RFC 8725). It does not know what a claim or a sealed value means, and it keeps no record of
// what was used: whoever must accept a value only once does that itself.
//
// # Key directories and rotation
//
// A key directory holds one key a file: *.pem (PKCS #8, P-256) for signing, *.key (32 random bytes) for sealing. Other names,
// and names that begin with a dot, are passed over. Where there is no key yet, opening the directory makes the first one.
// The age of a key is that of its file's modification time, in whole seconds; files of one second are ordered by name, so
// it is best to name them by date (a volume may give all its files one time).
//
//   - A new file is published (signing) or accepted (sealing) as soon as it is read.
//   - It is used to sign or seal once it is Settle old: by then the verifiers and the other replicas have read it too. The
//     youngest such key is used. Where no key is old enough, the oldest is.
//   - An older key verifies and opens until its file is deleted.
//
// So to rotate: add a file, wait for as long as what the old key made may live, delete the old file. Reload keeps the last
// good keys if anything is wrong with the directory, an empty one included.
package keys

import (
	"context"
	"crypto"
	"errors"
	"time"
)

// Settle is how old a key file must be before its key is used to sign or seal.
const Settle = 5 * time.Minute

// maxKeys bounds a key set, ours and theirs.
const maxKeys = 64

// What a caller of Verify branches on, and what a KeySource tells Verify.
var (
	// ErrToken says that the token is refused: 401. It wraps the precise cause, which is for the log alone.
	ErrToken = errors.New("keys: token refused")
	// ErrKeys says that the issuer's keys could not be had, so nothing is known about the token: 503.
	ErrKeys = errors.New("keys: no keys to verify with")
	// ErrNoKey is a KeySource's answer when it knows the issuer's keys and none has the key id.
	ErrNoKey = errors.New("keys: no such key")
)

// Key is a public key and the one algorithm that it is good for: ES256 with an *ecdsa.PublicKey on P-256, or PS256 with an
// *rsa.PublicKey of 2048 to 8192 bits. Only this package makes them, from keys that it has checked; the zero Key verifies
// nothing.
type Key struct {
	algorithm string
	public    crypto.PublicKey
}

// KeySource finds an issuer's key by its id. It answers ErrNoKey if the issuer has no such key; any other error means that
// the issuer's keys could not be had. Signers, Set and Remote are key sources.
type KeySource interface {
	Key(ctx context.Context, kid string) (Key, error)
}
