package differential

import (
	"bytes"
	"context"
	"net/netip"
	"strings"
	"sync"

	"isogate/extauthz/check"
)

// requestID joins what the check saw to what a product received: Envoy makes it anew for each request, whatever the client sent.
const requestID = "x-request-id"

// decision is one question that the check parsed, and its answer.
type decision struct {
	check.Request
	from    netip.Addr // the connection on which the client sent it
	verdict check.Verdict
	sidecar bool      // who decided: the sidecar's check, or that of the ingress or gateway
	signed  *decision // at the gateway: what the sidecar's check said of the call; nil if it came by no sidecar
}

// arrival is one request that reached a product or the door, as bytes.
type arrival struct {
	backend               string
	head                  []byte // up to and without the empty line
	method, target, proto string
	lines                 []line
	content               bool      // a byte of a body comes, or may come
	decision              *decision // which let it pass; nil if nobody was asked
}

// line is a header line: its name in lower case, and its value.
type line struct{ name, value string }

func parseHead(backend string, head []byte) arrival {
	first, rest, _ := bytes.Cut(head, []byte("\r\n"))
	a := arrival{backend: backend, head: head}
	a.method, a.target, _ = strings.Cut(string(first), " ")
	a.target, a.proto, _ = strings.Cut(a.target, " ")
	for text := range strings.SplitSeq(string(rest), "\r\n") {
		if name, value, ok := strings.Cut(text, ":"); ok {
			a.lines = append(a.lines, line{strings.ToLower(name), strings.TrimPrefix(value, " ")})
		}
	}
	return a
}

// values are those of all lines of a name.
func (a arrival) values(name string) (values []string) {
	for _, l := range a.lines {
		if l.name == name {
			values = append(values, l.value)
		}
	}
	return values
}

// address is that of the connection which the request came from, as far as can be told.
func (a arrival) address() netip.Addr {
	if a.decision != nil {
		return a.decision.from
	}
	address, _ := netip.ParseAddr(strings.Join(a.values("x-forwarded-for"), ","))
	return address
}

func (a arrival) path() string {
	path, _, _ := strings.Cut(a.target, "?")
	return path
}

func (a arrival) query() string {
	_, query, _ := strings.Cut(a.target, "?")
	return query
}

// book records what happened since the last look. The last decisions are kept, since what they let pass may arrive late.
type book struct {
	mu        *sync.Mutex
	byID      map[string]*decision
	before    map[string]*decision
	decisions []*decision
	arrivals  []arrival
}

// generation is how many decisions are kept at least.
const generation = 1000

func newBook() book {
	return book{mu: new(sync.Mutex), byID: map[string]*decision{}}
}

// decided keeps a decision, to be found by the id of its request, or by the proof that it put into it.
func (b *book) decided(key string, d *decision) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.decisions = append(b.decisions, d)
	if len(b.byID) == generation {
		b.before, b.byID = b.byID, map[string]*decision{}
	}
	b.byID[key] = d
}

func (b *book) find(key string) *decision {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.found(key)
}

func (b *book) found(key string) *decision {
	if d := b.byID[key]; d != nil {
		return d
	}
	return b.before[key]
}

func (b *book) arrived(a arrival) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ids := a.values(requestID); len(ids) == 1 {
		a.decision = b.found(ids[0])
	}
	b.arrivals = append(b.arrivals, a)
}

// since gives what happened since it was last asked.
func (b *book) since() (decisions []*decision, arrivals []arrival) {
	b.mu.Lock()
	defer b.mu.Unlock()
	decisions, arrivals = b.decisions, b.arrivals
	b.decisions, b.arrivals = nil, nil
	return decisions, arrivals
}

// recorder is what the check asks in place of the profile that it wraps.
type recorder struct {
	inner check.Decider
	book  *book
}

func (r recorder) Decide(ctx context.Context, in check.Request) check.Verdict {
	shown := in
	shown.Address = witness(in)
	d := &decision{Request: in, from: in.Address, verdict: r.inner.Decide(ctx, shown)}
	r.book.decided(in.Header.Get(requestID), d)
	return d.verdict
}

// witness carries what the check saw to the policy, which compares it with what it was shown itself, in each request and byte for byte. The
// profile does nothing with the address but to hand it on as text, and the zone of an IPv6 address can be any text.
func witness(r check.Request) netip.Addr {
	return netip.MustParseAddr("fe80::1").WithZone(" " + r.Route.Product + " " + r.Method + " " + r.Path)
}
