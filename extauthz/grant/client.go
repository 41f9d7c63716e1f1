package grant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// timeout bounds one call, from the dial to the last byte.
const timeout = 3 * time.Second

// Client is a Keeper that asks extauthz over the session socket.
type Client struct{ http *http.Client }

var _ Keeper = (*Client)(nil)

// NewClient returns a client of the unix socket at a path. It dials when it is asked, so that either daemon may start first. A call takes at
// most 3 s; calls may be made in parallel.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &Client{http: &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            dial,
			DisableCompression:     true, // a small body must not become a large one
			MaxIdleConnsPerHost:    16,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: maxBody,
		},
	}}
}

// Open ties a living session to a client.
func (c *Client) Open(ctx context.Context, session, client string) (Opened, error) {
	opened, err := c.ask(ctx, "/open", opening{Session: session, Client: client})
	if err != nil {
		return Opened{}, wrap("opening", err)
	}
	return opened, nil
}

var errOther = errors.New("the answer is about another grant")

// Redeem keeps a living grant of a client.
func (c *Client) Redeem(ctx context.Context, id, client string) (Opened, error) {
	kept, err := c.ask(ctx, "/redeem", naming{Grant: id, Client: client})
	if err == nil && kept.Grant != id {
		err = errOther
	}
	if err != nil {
		return Opened{}, wrap("redeeming", err)
	}
	return kept, nil
}

// End ends a grant of a client.
func (c *Client) End(ctx context.Context, id, client string) error {
	body, err := c.post(ctx, "/end", naming{Grant: id, Client: client})
	if err != nil {
		return wrap("ending", err)
	}
	body.close()
	return nil
}

func (c *Client) ask(ctx context.Context, path string, in any) (Opened, error) {
	body, err := c.post(ctx, path, in)
	if err != nil {
		return Opened{}, err
	}
	defer body.close()
	return decode[Opened](body)
}

// post returns the body of a 200, which must be closed.
func (c *Client) post(ctx context.Context, path string, in any) (body, error) {
	raw, err := json.Marshal(in)
	if err != nil {
		return body{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://extauthz"+path, bytes.NewReader(raw))
	if err != nil {
		return body{}, err
	}
	req.Header.Set("content-type", "application/json")
	// Each call may be made twice: a grant opened in vain ends by itself. This lets net/http repeat one whose idle connection closes under
	// it, as when extauthz restarts. An empty list is not sent.
	req.Header["Idempotency-Key"] = []string{}
	resp, err := c.http.Do(req)
	if err != nil {
		return body{}, err
	}
	answer := body{Reader: io.LimitReader(resp.Body, maxBody), whole: resp.Body}
	switch resp.StatusCode {
	case http.StatusOK:
		return answer, nil
	case http.StatusNotFound:
		err = ErrNone
	default:
		err = fmt.Errorf("extauthz answers %s", resp.Status)
	}
	answer.close()
	return body{}, err
}

// body is the beginning of a response's body.
type body struct {
	io.Reader
	whole io.Closer
}

// close reads the small rest first, since a connection with something unread on it cannot be used again.
func (b body) close() {
	_, _ = io.Copy(io.Discard, b.Reader)
	_ = b.whole.Close()
}

// wrap leaves ErrNone as it is: it is an answer, not a fault.
func wrap(doing string, err error) error {
	if err == ErrNone {
		return err
	}
	return fmt.Errorf("grant: %s %w", doing, err)
}
