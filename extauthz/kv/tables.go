package kv

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// errDamaged is what a stored value without its expiry means. It is not ErrNotFound: a damaged store answers 503.
var errDamaged = errors.New("a stored value is damaged")

// tables are the two buckets within one transaction. Byte slices that come out of them live only as long as it does.
type tables struct{ items, ends *bbolt.Bucket }

func open(ctx context.Context, tx *bbolt.Tx) (tables, error) {
	t := tables{items: tx.Bucket(bucketItems), ends: tx.Bucket(bucketEnds)}
	if t.items == nil || t.ends == nil {
		return t, errDamaged
	}
	return t, ctx.Err()
}

func (b *Bolt) view(ctx context.Context, doing string, fn func(tables) error) error {
	return wrap(doing, b.db.View(func(tx *bbolt.Tx) error {
		t, err := open(ctx, tx)
		if err != nil {
			return err
		}
		return fn(t)
	}))
}

// update commits what fn does, or nothing if fn or the context fails. The context is asked once before the wait for the
// write lock and once after it; a commit that has begun is not interrupted.
func (b *Bolt) update(ctx context.Context, doing string, fn func(tables) error) error {
	if err := ctx.Err(); err != nil {
		return wrap(doing, err)
	}
	return wrap(doing, b.db.Update(func(tx *bbolt.Tx) error {
		t, err := open(ctx, tx)
		if err != nil {
			return err
		}
		return fn(t)
	}))
}

// wrap leaves the two sentinels as they are: they are answers, not faults.
func wrap(doing string, err error) error {
	if err == nil || err == ErrNotFound || err == ErrExists {
		return err
	}
	return fmt.Errorf("kv: %s %w", doing, err)
}

// get returns the living value, which must be copied before the transaction ends.
func (t tables) get(key []byte, now time.Time) ([]byte, error) {
	raw := t.items.Get(key)
	if raw == nil {
		return nil, ErrNotFound
	}
	ends, value, err := decode(raw)
	if err != nil {
		return nil, err
	}
	if !ends.alive(now) {
		return nil, ErrNotFound
	}
	return value, nil
}

func (t tables) put(item Item) error {
	if err := t.remove(item.Key); err != nil {
		return err
	}
	ends := endOf(item.Expires)
	raw := append(ends.bytes(), item.Value...)
	if err := t.items.Put([]byte(item.Key), raw); err != nil {
		return err
	}
	if ends == never {
		return nil
	}
	return t.ends.Put(append(ends.bytes(), item.Key...), nil)
}

// remove deletes the keys and their places in the order of expiry. Absent and damaged ones are no fault: what is to go
// may be anything, and the sweep drops a place that its item no longer stands behind.
func (t tables) remove(keys ...string) error {
	for _, key := range keys {
		ends, _, err := decode(t.items.Get([]byte(key)))
		if err == nil && ends != never {
			if err := t.ends.Delete(append(ends.bytes(), key...)); err != nil {
				return err
			}
		}
		if err := t.items.Delete([]byte(key)); err != nil {
			return err
		}
	}
	return nil
}

// drop deletes the place, and its item if that still ends when the place says.
func (t tables) drop(place []byte) error {
	if err := t.ends.Delete(place); err != nil {
		return err
	}
	if key := place[endSize:]; bytes.HasPrefix(t.items.Get(key), place[:endSize]) {
		return t.items.Delete(key)
	}
	return nil
}

// end is an expiry as it is stored: eight bytes, big-endian, so that byte order is time order. In nanoseconds since 1970.
type end uint64

const (
	endSize = 8 // bytes

	never end = 0
)

// endOf wants a time that Item.check has let pass.
func endOf(t time.Time) end {
	if t.IsZero() {
		return never
	}
	return end(t.UnixNano())
}

func (e end) time() time.Time {
	if e == never {
		return time.Time{}
	}
	return time.Unix(0, int64(e))
}

func (e end) alive(now time.Time) bool { return e == never || now.Before(e.time()) }

// bytes has room for a short key after it, to spare append a second allocation.
func (e end) bytes() []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 0, 64), uint64(e))
}

func decode(raw []byte) (end, []byte, error) {
	if len(raw) < endSize {
		return never, nil, errDamaged
	}
	return end(binary.BigEndian.Uint64(raw)), raw[endSize:], nil
}
