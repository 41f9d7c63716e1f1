package keys

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	extSealer = ".key"
	keyIDSize = 8
	maxSealed = 16 << 10
)

// ErrSealed is the answer to everything that does not open. It does not say why: the one who sent the value must not learn it.
var ErrSealed = errors.New("keys: sealed value refused")

// Sealers are the sealing keys of one directory. The methods may be called in parallel.
type Sealers struct {
	dir string
	now func() time.Time
	set atomic.Pointer[sealerSet]
}

type sealerSet struct {
	keys []dated[sealer]
	byID map[keyID]sealer
}

type sealer struct {
	id   keyID
	aead cipher.AEAD
}

type keyID [keyIDSize]byte

// OpenSealers reads the sealing keys of dir: *.key, each 32 random bytes with mode 0600. It makes the directory (0700) and a
// first key where there is none. now is the clock that settling is measured with.
func OpenSealers(dir string, now func() time.Time) (*Sealers, error) {
	if err := ensureKey(dir, extSealer, newSealer); err != nil {
		return nil, err
	}
	s := &Sealers{dir: dir, now: now}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// GenerateSealer adds a new sealing key to dir, as the file name.key. It never replaces a file.
func GenerateSealer(dir, name string) error {
	return addKey(dir, name+extSealer, newSealer)
}

func newSealer() ([]byte, error) {
	key := make([]byte, chacha20poly1305.KeySize)
	_, err := rand.Read(key)
	return key, err
}

// Dir is the directory to watch for changes.
func (s *Sealers) Dir() string { return s.dir }

// Reload reads the directory again. On any fault the last good keys stay in use.
func (s *Sealers) Reload() error {
	keys, err := loadDir(s.dir, extSealer, parseSealer)
	if err != nil {
		return err
	}
	set := &sealerSet{keys: keys, byID: make(map[keyID]sealer)}
	for _, k := range keys {
		if _, twice := set.byID[k.key.id]; twice {
			return fmt.Errorf("keys: %s holds one key in two files", s.dir)
		}
		set.byID[k.key.id] = k.key
	}
	s.set.Store(set)
	return nil
}

func parseSealer(body []byte) (sealer, error) {
	aead, err := chacha20poly1305.NewX(body)
	if err != nil {
		return sealer{}, fmt.Errorf("%d bytes, not %d random ones", len(body), chacha20poly1305.KeySize)
	}
	// The id goes out with every sealed value. The prefix keeps it from being a hash of the key that serves elsewhere.
	sum := sha256.Sum256(append([]byte("isogate sealing key id\x00"), body...))
	return sealer{id: keyID(sum[:keyIDSize]), aead: aead}, nil
}

// Seal encrypts plaintext with XChaCha20-Poly1305 under a random nonce, to be opened only with the same purpose (what kind
// of value it is) and bound (whose it is: a host, a service). The form is base64url without padding of key id (8 bytes) ‖
// nonce (24) ‖ ciphertext and tag. A sealed value over 16 KB does not open: bound what you seal to 12000 bytes.
func (s *Sealers) Seal(purpose, bound string, plaintext []byte) string {
	key := settled(s.set.Load().keys, s.now())
	sealed := make([]byte, keyIDSize+chacha20poly1305.NonceSizeX, keyIDSize+chacha20poly1305.NonceSizeX+len(plaintext)+key.aead.Overhead())
	copy(sealed, key.id[:])
	nonce := sealed[keyIDSize:]
	rand.Read(nonce) // never fails: crypto/rand ends the program rather than give too little
	return b64.EncodeToString(key.aead.Seal(sealed, nonce, plaintext, associated(purpose, bound, key.id)))
}

// Open returns what was sealed for this purpose and bound, or ErrSealed. There is exactly one spelling of a sealed value.
func (s *Sealers) Open(purpose, bound, sealed string) ([]byte, error) {
	if len(sealed) > maxSealed {
		return nil, ErrSealed
	}
	raw, err := decode(sealed)
	if err != nil || len(raw) < keyIDSize+chacha20poly1305.NonceSizeX {
		return nil, ErrSealed
	}
	key, ok := s.set.Load().byID[keyID(raw[:keyIDSize])]
	if !ok {
		return nil, ErrSealed
	}
	nonce, ciphertext := raw[keyIDSize:keyIDSize+chacha20poly1305.NonceSizeX], raw[keyIDSize+chacha20poly1305.NonceSizeX:]
	plaintext, err := key.aead.Open(nil, nonce, ciphertext, associated(purpose, bound, key.id))
	if err != nil {
		return nil, ErrSealed
	}
	return plaintext, nil
}

// associated prefixes each part with its length: ("ab", "c") and ("a", "bc") must differ.
func associated(purpose, bound string, id keyID) []byte {
	data := make([]byte, 0, 3*8+len(purpose)+len(bound)+keyIDSize)
	for _, part := range [...]string{purpose, bound, string(id[:])} {
		data = binary.BigEndian.AppendUint64(data, uint64(len(part)))
		data = append(data, part...)
	}
	return data
}
