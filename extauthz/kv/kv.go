// Package kv keeps bytes under a key until a time: sessions, handles, codes, replay marks.
//
// It owns the store file, the meaning of expiry and the atomic operations (Add, Take) that make a value work once. It does
// not know what the bytes mean: whoever stores a secret stores its hash or seals it first, since the file is not encrypted.
//
// A key is 1 to 512 bytes, a value at most 64 KB. An item is gone from the instant of its expiry on, whether it was swept
// or not. ErrNotFound means that the store answered and has no such living item. Every other error (closed, full,
// damaged, context ended) means that the store could not answer; callers fail closed with 503. No error text holds a key.
package kv

import (
	"errors"
	"fmt"
	"time"
)

// What a caller branches on. Both say that the store itself is well.
var (
	ErrNotFound = errors.New("kv: not found")
	ErrExists   = errors.New("kv: exists already")
)

// Bounds of one item, in bytes.
const (
	maxKey   = 512
	maxValue = 64 << 10
)

// Item is one value and the time at which it ends.
type Item struct {
	Key     string
	Value   []byte
	Expires time.Time // zero: never; else between 1971 and 2200, kept to the nanosecond
}

// The span of Expires. It keeps every time representable in a positive int64 of nanoseconds; a time outside it is a
// caller's overflow and must not come to mean "never".
var (
	earliest = time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

func (i Item) check() error {
	if err := checkKeys(i.Key); err != nil {
		return err
	}
	if len(i.Value) > maxValue {
		return fmt.Errorf("kv: a value of %d bytes is over %d", len(i.Value), maxValue)
	}
	if !i.Expires.IsZero() && (i.Expires.Before(earliest) || i.Expires.After(latest)) {
		return errors.New("kv: an expiry before 1971 or after 2200")
	}
	return nil
}

func checkKeys(keys ...string) error {
	if len(keys) == 0 {
		return errors.New("kv: no key given")
	}
	for _, key := range keys {
		if len(key) == 0 || len(key) > maxKey {
			return fmt.Errorf("kv: a key of %d bytes is not 1 to %d", len(key), maxKey)
		}
	}
	return nil
}
