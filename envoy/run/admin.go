package run

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const pollEvery = 20 * time.Millisecond

var errStopped = errors.New("was asked to stop") // no error to Err, but one to whoever waits for it to serve

func (e *Envoy) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", e.admin)
}

// Admin asks the admin interface, such as GET /config_dump or POST /logging?level=debug, and gives the body of the answer. Any answer
// but 200 is an error. Bodies may hold certificates and addresses: they are for tests and people, not for logs.
func (e *Envoy) Admin(ctx context.Context, method, path string) ([]byte, error) {
	body, err := e.ask(ctx, method, path)
	if err != nil {
		return nil, fmt.Errorf("run: asking envoy %s for %s: %w", e.name, path, err)
	}
	return body, nil
}

func (e *Envoy) ask(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://envoy"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", resp.Status, lastLines(body, 1))
	}
	return body, err
}

// WaitLive returns nil once the Envoy serves: its state is LIVE, and its control plane, if its bootstrap names one, has given it its
// listeners. LIVE alone is not enough, since an Envoy without a control plane stops waiting for it after a while and calls itself LIVE
// with no port open. The error at the end of ctx holds what was seen last; the one of a process that ended comes at once; both hold the
// last 40 lines of its log.
func (e *Envoy) WaitLive(ctx context.Context) error {
	return e.until(ctx, "serves", e.serves)
}

// WaitListener returns nil once a listener of that name is in use; its errors are those of WaitLive.
func (e *Envoy) WaitListener(ctx context.Context, name string) error {
	return e.until(ctx, "has the listener "+name, func(ctx context.Context) (bool, string, error) {
		return e.hasListener(ctx, name)
	})
}

// until asks again and again. A probe says whether it is so, and what it saw.
func (e *Envoy) until(ctx context.Context, what string, probe func(context.Context) (bool, string, error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	seen := "no answer"
	for {
		ok, saw, err := probe(ctx)
		switch {
		case ok:
			return nil
		case err == nil:
			seen = saw
		case ctx.Err() == nil:
			seen = err.Error()
		}
		select {
		case <-e.done:
			return fmt.Errorf("run: waiting until envoy %s %s: it %w\n%s", e.name, what, cmp.Or(e.err, errStopped), tail(e.log, e.from))
		case <-ctx.Done():
			return fmt.Errorf("run: waiting until envoy %s %s: %w; last seen: %s\n%s", e.name, what, ctx.Err(), seen, tail(e.log, e.from))
		case <-tick.C:
		}
	}
}

func (e *Envoy) serves(ctx context.Context) (bool, string, error) {
	body, err := e.ask(ctx, http.MethodGet, "/server_info")
	if err != nil {
		return false, "", err
	}
	var info struct{ State string }
	if err := json.Unmarshal(body, &info); err != nil || info.State != "LIVE" {
		return false, "state " + info.State, err
	}
	updates, err := e.ask(ctx, http.MethodGet, "/stats?filter=^listener_manager.lds.update_success$")
	if err != nil {
		return false, "", err
	}
	// The counter does not exist where the bootstrap asks nobody for listeners.
	waits := strings.TrimSpace(string(updates)) == "listener_manager.lds.update_success: 0"
	return !waits, "state LIVE, but no listeners from its control plane", nil
}

func (e *Envoy) hasListener(ctx context.Context, name string) (bool, string, error) {
	body, err := e.ask(ctx, http.MethodGet, "/listeners?format=json")
	if err != nil {
		return false, "", err
	}
	var list struct {
		Listeners []struct{ Name string } `json:"listener_statuses"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return false, "", err
	}
	for _, l := range list.Listeners {
		if l.Name == name {
			return true, "", nil
		}
	}
	return false, fmt.Sprintf("the listeners %v", list.Listeners), nil
}
