package kv

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Two buckets: items holds key → expiry ‖ value, ends holds expiry ‖ key → nothing, for items that do end. The second one
// is ordered by time, so that a sweep reads only what it removes.
var (
	bucketItems = []byte("items")
	bucketEnds  = []byte("ends")
)

// lockWait is how long OpenBolt waits for another process to let go of the file, as during a rolling restart.
const lockWait = 5 * time.Second

// Bolt is a store in one bbolt file. It belongs to one process at a time; its methods may be called in parallel.
type Bolt struct {
	db  *bbolt.DB
	now func() time.Time
}

// OpenBolt opens the store at path and creates it (mode 0600) where there is none; its directory must exist. It waits at
// most 5 s for another process that holds the file. now is the clock that expiry is compared with.
func OpenBolt(path string, now func() time.Time) (*Bolt, error) {
	return openBolt(path, now, lockWait)
}

func openBolt(path string, now func() time.Time, wait time.Duration) (*Bolt, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:      wait,
		FreelistType: bbolt.FreelistMapType,
		NoStatistics: true, // spares each read a lock
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("kv: another process holds %s: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("kv: opening %s: %w", path, err)
	}
	if err := db.Update(createBuckets); err != nil {
		return nil, errors.Join(fmt.Errorf("kv: preparing %s: %w", path, err), db.Close())
	}
	return &Bolt{db: db, now: now}, nil
}

func createBuckets(tx *bbolt.Tx) error {
	for _, name := range [][]byte{bucketItems, bucketEnds} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return nil
}

// Close waits for running transactions and lets go of the file. Every later call answers an error. Closing twice is no fault.
func (b *Bolt) Close() error {
	if err := b.db.Close(); err != nil {
		return fmt.Errorf("kv: closing %w", err)
	}
	return nil
}

// Put stores the items, over what was there before. All of them are stored in one transaction, or none.
func (b *Bolt) Put(ctx context.Context, items ...Item) error {
	for _, item := range items {
		if err := item.check(); err != nil {
			return err
		}
	}
	return b.update(ctx, "putting", func(t tables) error {
		for _, item := range items {
			if err := t.put(item); err != nil {
				return err
			}
		}
		return nil
	})
}

// Add stores the item if no living one has its key, else it answers ErrExists. Of parallel calls one wins.
func (b *Bolt) Add(ctx context.Context, item Item) error {
	if err := item.check(); err != nil {
		return err
	}
	return b.update(ctx, "adding", func(t tables) error {
		switch _, err := t.get([]byte(item.Key), b.now()); {
		case err == nil:
			return ErrExists
		case !errors.Is(err, ErrNotFound):
			return err
		}
		return t.put(item)
	})
}

// Get returns a copy of the value, or ErrNotFound if there is none or it has expired.
func (b *Bolt) Get(ctx context.Context, key string) (value []byte, err error) {
	if err := checkKeys(key); err != nil {
		return nil, err
	}
	err = b.view(ctx, "getting", func(t tables) error {
		v, err := t.get([]byte(key), b.now())
		value = bytes.Clone(v)
		return err
	})
	return value, err
}

// Take removes all keys at once and returns the value of the first. If the first is absent or has expired the others are
// removed all the same, and the answer is ErrNotFound. Of parallel calls for one key exactly one gets the value. After
// any other error nothing was removed.
func (b *Bolt) Take(ctx context.Context, keys ...string) (value []byte, err error) {
	if err := checkKeys(keys...); err != nil {
		return nil, err
	}
	// Strangers can make up keys: what is not there must not cost a write, which waits for the disk and keeps every other writer waiting.
	if any, err := b.any(ctx, keys); err != nil || !any {
		return nil, cmp.Or(err, ErrNotFound)
	}
	var absent error // kept out of the transaction's result: an error there would undo the removal of the others
	err = b.update(ctx, "taking", func(t tables) error {
		v, err := t.get([]byte(keys[0]), b.now())
		if errors.Is(err, ErrNotFound) {
			absent = err
		} else if err != nil {
			return err
		}
		value = bytes.Clone(v)
		return t.remove(keys...)
	})
	if err == nil {
		err = absent
	}
	if err != nil {
		return nil, err // a value whose removal was not committed is not handed out: it could be taken twice
	}
	return value, nil
}

// any tells whether there is an entry for one of the keys, expired ones included.
func (b *Bolt) any(ctx context.Context, keys []string) (found bool, err error) {
	err = b.view(ctx, "taking", func(t tables) error {
		for _, key := range keys {
			found = found || t.items.Get([]byte(key)) != nil
		}
		return nil
	})
	return found, err
}

// List returns the living items whose key begins with prefix, in the byte order of their keys. It reads them all into
// memory: a prefix is meant to name one owner's few items.
func (b *Bolt) List(ctx context.Context, prefix string) (items []Item, err error) {
	err = b.view(ctx, "listing", func(t tables) error {
		now, from := b.now(), []byte(prefix)
		c := t.items.Cursor()
		for k, v := c.Seek(from); k != nil && bytes.HasPrefix(k, from); k, v = c.Next() {
			ends, value, err := decode(v)
			if err != nil {
				return err
			}
			if ends.alive(now) {
				items = append(items, Item{Key: string(k), Value: bytes.Clone(value), Expires: ends.time()})
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	return items, nil
}
