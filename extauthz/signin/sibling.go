package signin

import (
	"context"
	"errors"
	"fmt"

	"isogate/extauthz/kv"
	"isogate/extauthz/session"
)

// A browser that restores its tabs begins a sign-in in each of them, and where the provider knows the person already, all answers come back
// at once: none with a session cookie yet, or all with one that the first of them replaces. Each would open a session of its own, and a
// sign-out would end one of them. So a sign-in leaves a note for the other flow cookies that its browser showed, and whichever of them
// comes back finds the session. Only the browser that holds the cookie can, and only the same person goes on with what it finds.

// joined is the session to go on with, noted for the browser's other flows. One answer looks and writes at a time; those of one browser that
// reach several processes at the same moment may still open two sessions.
func (d *Door) joined(v visit, who session.Identity, used session.FlowCookie, l session.Limits) (session.Session, error) {
	d.joining.Lock()
	defer d.joining.Unlock()
	current, err := d.current(v, who, used, l)
	if err != nil {
		return session.Session{}, err
	}
	return current, d.note(v, current, used)
}

// note says for the other flows of a browser which session it is in.
func (d *Door) note(v visit, current session.Session, used session.FlowCookie) error {
	var notes []kv.Item
	for _, other := range v.cookies.Flows {
		if other.Name != used.Name {
			notes = append(notes, kv.Item{Key: noteKey(other), Value: []byte(current.ID), Expires: d.Now().Add(session.FlowLifetime)})
		}
	}
	if len(notes) == 0 {
		return nil
	}
	if err := d.Tickets.Put(v.Context(), notes...); err != nil {
		return fmt.Errorf("signin: keeping notes for other tabs: %w", err)
	}
	return nil
}

// noted is the session of which a note for this flow speaks, or session.ErrNone. A flow comes back once, so its note is taken.
func (d *Door) noted(ctx context.Context, used session.FlowCookie) (session.Session, error) {
	id, err := d.Tickets.Take(ctx, noteKey(used))
	if errors.Is(err, kv.ErrNotFound) {
		return session.Session{}, session.ErrNone
	} else if err != nil {
		return session.Session{}, fmt.Errorf("signin: taking a note: %w", err)
	}
	return d.Sessions.ByID(ctx, string(id), d.Policies)
}

// noteKey holds the hash of the cookie alone: a stolen store gives no cookie away.
func noteKey(c session.FlowCookie) string { return "n/" + proof(c.Secret) }
