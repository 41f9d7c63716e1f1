package main

import (
	"context"
	"errors"

	"isogate/extauthz/grant"
	"isogate/extauthz/session"
)

// keeper is the session socket's view of the sessions, under the policies of the moment.
type keeper struct{ *live }

func (k keeper) Open(ctx context.Context, id, client string) (grant.Opened, error) {
	return opened(k.sessions.OpenGrant(ctx, id, client, k.state.Load().limits))
}

func (k keeper) Redeem(ctx context.Context, id, client string) (grant.Opened, error) {
	return opened(k.sessions.RedeemGrant(ctx, id, client, k.state.Load().limits))
}

func (k keeper) End(ctx context.Context, id, client string) error {
	return k.sessions.EndGrant(ctx, id, client)
}

func opened(g session.Grant, err error) (grant.Opened, error) {
	if errors.Is(err, session.ErrNone) {
		return grant.Opened{}, grant.ErrNone
	}
	return grant.Opened{Grant: g.ID, Expiry: g.Expiry}, err
}
