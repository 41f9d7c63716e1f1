package signin

import (
	"context"
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
// directory. Any other error means that nothing is known.
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
