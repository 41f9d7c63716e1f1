package kv

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"time"

	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	sweepEvery = time.Minute
	sweepBatch = 256 // items a transaction: writers wait for one batch, not for a whole sweep
)

// Run sweeps each minute until ctx ends; then it returns nil. A sweep that fails is logged and tried again a minute later,
// since reads go on without it. Only a closed store ends Run with an error.
func (b *Bolt) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		_, err := b.Sweep(ctx)
		if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "the store was not swept", "error", err)
		}
	}
}

// Sweep removes what has expired and says how many items that were. It works in transactions of 256 items; what was
// removed before an error stays removed.
func (b *Bolt) Sweep(ctx context.Context) (int, error) {
	total, now := 0, b.now()
	for {
		places, err := b.due(ctx, now)
		if err != nil || len(places) == 0 {
			return total, err
		}
		if err := b.drop(ctx, places); err != nil {
			return total, err
		}
		total += len(places)
	}
}

// due looks for a batch without the write lock, so that a sweep that finds nothing costs no write.
func (b *Bolt) due(ctx context.Context, now time.Time) (places [][]byte, err error) {
	err = b.view(ctx, "looking for expired items", func(t tables) error {
		c := t.ends.Cursor()
		for k, _ := c.First(); k != nil && len(places) < sweepBatch; k, _ = c.Next() {
			ends, _, err := decode(k)
			if err != nil {
				return err
			}
			if ends.alive(now) {
				return nil
			}
			places = append(places, bytes.Clone(k))
		}
		return nil
	})
	return places, err
}

func (b *Bolt) drop(ctx context.Context, places [][]byte) error {
	return b.update(ctx, "removing expired items", func(t tables) error {
		for _, place := range places {
			if err := t.drop(place); err != nil {
				return err
			}
		}
		return nil
	})
}
