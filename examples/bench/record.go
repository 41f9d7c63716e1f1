package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
)

// asking is one kind of request that is sent through a double while a recorder answers its checks.
type asking struct {
	name   string
	send   func(context.Context) (status int, err error)
	status int // that must come back: the recorder passes everything, and what is behind it may not
}

// record sends each kind of request through the double of its side and keeps what that asks its check socket: the messages that are measured are
// those of a real Envoy, with a blank where what differs from check to check stands.
func (s *stage) record(ctx context.Context) error {
	for _, d := range []side{s.inside, s.outside, s.gateway, s.sidecar} {
		ctx, cancel := context.WithCancel(ctx)
		var recorded recorder
		var serving sync.WaitGroup
		var served error
		serving.Go(func() { served = recorded.serve(ctx, d.double.check) })
		err := s.ask(ctx, s.askings(d), &recorded)
		cancel()
		serving.Wait()
		if err := errors.Join(err, served); err != nil {
			return err
		}
	}
	return nil
}

// askings are the kinds of requests that arrive at a side.
func (s *stage) askings(d side) (list []asking) {
	for _, kind := range scenarios {
		if s.side(kind).role == d.role {
			list = append(list, asking{kind.name, func(context.Context) (int, error) {
				return s.target(d.double, kind).once(kind.request(s.authority(kind), s.blank(kind)))
			}, 200})
		}
	}
	for _, kind := range calls {
		if s.called(kind).role == d.role {
			list = append(list, asking{kind.name, func(ctx context.Context) (int, error) { return s.crossing.send(ctx, d.double, kind) }, kind.recorded})
		}
	}
	return list
}

func (s *stage) ask(ctx context.Context, list []asking, recorded *recorder) error {
	for _, kind := range list {
		err := eventually(ctx, func() error { // the listener and the check socket are a moment old
			got, err := kind.send(ctx)
			if err == nil && got != kind.status {
				err = fmt.Errorf("%s: the recorder passes everything, and yet the answer is %d", kind.name, got)
			}
			return err
		})
		if err != nil {
			return err
		}
		if s.questions[kind.name], err = recorded.take(); err != nil {
			return err
		}
	}
	return nil
}

// startNoOp serves it at the check socket of every double.
func (s *stage) startNoOp(ctx context.Context) (err error) {
	sockets := []string{s.inside.double.check, s.outside.double.check, s.gateway.double.check, s.sidecar.double.check}
	if s.noop, err = startSelf(filepath.Join(s.dir, "noop.log"), append([]string{"noop"}, sockets...)...); err != nil {
		return err
	}
	for _, socket := range sockets {
		if err := s.noop.waitSocket(ctx, socket); err != nil {
			return err
		}
	}
	return nil
}
