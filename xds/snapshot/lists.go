package snapshot

import (
	"strings"

	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
)

// Lists keeps the gateway's lists of routes from one build to the next, packed and found valid. An edit of one endpoint then costs one list and not ten
// thousand. The zero value has none. It is for one goroutine at a time.
type Lists struct {
	last, next map[string]*matcherv3.Matcher_OnMatch
}

// way leads to the routes of these templates, in their order, and ends in the refusal.
func (l *Lists) way(b *builder, templates []*template, host string) *matcherv3.Matcher_OnMatch {
	if l.next == nil {
		l.next = map[string]*matcherv3.Matcher_OnMatch{}
	}
	key := keyOf(templates, host)
	way, known := l.last[key]
	if known {
		b.valid[way.GetAction().GetTypedConfig()] = true
	} else {
		list := &routev3.RouteList{Routes: make([]*routev3.Route, 0, len(templates)+1)}
		for _, t := range templates {
			list.Routes = append(list.Routes, b.route(t, host))
		}
		list.Routes = append(list.Routes, closed(gatewayName))
		way = b.act("routes", list)
	}
	l.next[key] = way
	return way
}

// built forgets what the build did not use; one that failed has validated nothing.
func (l *Lists) built(whole bool) {
	if whole {
		l.last = l.next
	}
	l.next = nil
}

// keyOf is all that a list is made of. No part of it can hold the separators.
func keyOf(templates []*template, host string) string {
	var key strings.Builder
	key.WriteString(host)
	for _, t := range templates {
		for _, part := range [...]string{"\n", t.ID, "\t", t.Product, "\t", t.Method, "\t", t.Path} {
			key.WriteString(part)
		}
	}
	return key.String()
}
