package signin

import (
	"context"
	"sync"
	"time"

	"isogate/extauthz/session"
)

// Federations are the isolated clouds whose people can sign in, as the directory has them now. The zero value has none.
type Federations struct {
	byID     map[string]*Federation
	byDomain map[string]*Federation
}

// NewFederations indexes the entries of a directory. A domain stands in one of them alone, which package topology sees to.
func NewFederations(all []*Federation) Federations {
	found := Federations{byID: map[string]*Federation{}, byDomain: map[string]*Federation{}}
	for _, f := range all {
		found.byID[f.Entry.ID] = f
		for _, domain := range f.Entry.Domains {
			found.byDomain[domain] = f
		}
	}
	return found
}

// Check asks the cloud of a session until when it lives. session.ErrNone means that it is over: the cloud says so, or is no longer in the
// directory. ErrRefused means that the cloud does not take the session's token; any other error, that nothing is known.
func (f Federations) Check(ctx context.Context, o session.Outside) (expiry time.Time, err error) {
	if cloud, there := f.byID[o.Cloud]; there {
		return cloud.Check(ctx, o)
	}
	return time.Time{}, session.ErrNone
}

// Revoke ends the grant of a session. Where its cloud is no longer in the directory, there is nobody to tell.
func (f Federations) Revoke(ctx context.Context, o session.Outside) error {
	if cloud, there := f.byID[o.Cloud]; there {
		return cloud.Revoke(ctx, o)
	}
	return nil
}

// lookEvery is how soon a cloud that came to the directory, or left it, is noticed.
const lookEvery = 5 * time.Second

// RunFederations runs the clouds of the directory, as it is at each moment, until ctx ends.
func RunFederations(ctx context.Context, federations func() []*Federation) error {
	running := map[*Federation]context.CancelFunc{}
	var all sync.WaitGroup
	defer all.Wait()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		running = runThese(ctx, federations(), running, &all)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// runThese starts those that do not run yet, and ends the others.
func runThese(ctx context.Context, wanted []*Federation, running map[*Federation]context.CancelFunc, all *sync.WaitGroup) map[*Federation]context.CancelFunc {
	these := map[*Federation]context.CancelFunc{}
	for _, f := range wanted {
		if these[f] = running[f]; these[f] == nil {
			own, cancel := context.WithCancel(ctx)
			these[f] = cancel
			all.Go(func() { _ = f.Run(own) }) // it ends with its context alone
		}
		delete(running, f)
	}
	for _, end := range running {
		end()
	}
	return these
}
