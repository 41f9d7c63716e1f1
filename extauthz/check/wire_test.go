package check

import (
	"errors"
	"math/rand"
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// whole is a question in which Envoy says everything that it can, of which we read a part.
func whole() *auth.CheckRequest {
	in := question("POST", issuesHost, "/a/b?c=d", "cookie", "a=1", "cookie", "b=2", "x-empty", "", "user-agent", strings.Repeat("Zoë ", 50))
	a := in.Attributes
	a.Source.Service, a.Source.Principal, a.Source.Labels, a.Source.Certificate = "edge", "spiffe://x", map[string]string{"k": "v"}, "-----BEGIN%20"
	a.Source.GetAddress().GetSocketAddress().PortSpecifier = &core.SocketAddress_PortValue{PortValue: 443}
	a.Destination, a.ContextExtensions = peer("192.0.2.9"), map[string]string{"product": "wiki"}
	a.Request.Time = &timestamppb.Timestamp{Seconds: 1 << 40, Nanos: 7}
	h := a.Request.Http
	h.Id, h.Headers, h.Scheme, h.Query, h.Fragment, h.Size, h.Protocol = "1", map[string]string{"a": "b"}, "https", "z", "f", -1, "HTTP/2"
	h.Body, h.RawBody = "body", []byte{0xff}
	h.HeaderMap.Headers = append(h.HeaderMap.Headers, &core.HeaderValue{Key: "X-Text", Value: "text"})
	list, _ := structpb.NewList([]any{1, "two", nil})
	other := &structpb.Struct{Fields: map[string]*structpb.Value{"product": structpb.NewStringValue("wiki")}}
	a.MetadataContext = &core.Metadata{FilterMetadata: map[string]*structpb.Struct{"isogate": other}}
	a.RouteMetadataContext.FilterMetadata["envoy.lb"] = other
	ours := a.RouteMetadataContext.FilterMetadata["isogate"].Fields
	ours["endpoint"] = structpb.NewStringValue("issue.read")
	ours["list"], ours["number"], ours["door"] = structpb.NewListValue(list), structpb.NewNumberValue(3), structpb.NewBoolValue(true)
	return in
}

// agree holds our reading of a message against that of the generated code. Ours is stricter where a message can be read in two ways, is no
// message of this version, or has too many lines; it is more lenient in parts that it passes over.
func agree(t *testing.T, wire string) {
	t.Helper()
	got, err := decode(message(wire))
	var in auth.CheckRequest
	if fault := proto.Unmarshal([]byte(wire), &in); fault != nil {
		return
	}
	if err != nil {
		if !errors.Is(err, errTwice) && !errors.Is(err, errLines) && !(errors.Is(err, errBroken) && hasGroup([]byte(wire))) {
			t.Errorf("refused: %v\n%q", err, wire)
		}
		return
	}
	want := attributesOf(&in)
	if !same(got, want) {
		t.Errorf("got  %+v\nwant %+v\nof %q", got, want, wire)
	}
	ours, err := got.request()
	theirs, fault := want.request()
	if (err == nil) != (fault == nil) || ours.Target() != theirs.Target() || ours.Host != theirs.Host {
		t.Errorf("got %+v, %v\nwant %+v, %v", ours, err, theirs, fault)
	}
}

// hasGroup looks for a group, at any depth.
func hasGroup(message []byte) bool {
	for len(message) > 0 {
		_, kind, tag := protowire.ConsumeTag(message)
		if tag < 0 || kind == protowire.StartGroupType {
			return tag >= 0
		}
		_, _, size := protowire.ConsumeField(message)
		if size < 0 {
			return false
		}
		if value, n := protowire.ConsumeBytes(message[tag:size]); kind == protowire.BytesType && n > 0 && hasGroup(value) {
			return true
		}
		message = message[size:]
	}
	return false
}

func TestDecodeReadsWhatTheGeneratedCodeReads(t *testing.T) {
	a, err := decode(message(sent(whole())))
	if err != nil || !same(a, attributesOf(whole())) || a.route.Product != "issues" || a.route.Endpoint != "issue.read" || a.id != "1" || a.certificate == "" || !a.hasBody || a.address != "192.0.2.1" || len(a.lines) != 5 {
		t.Errorf("%+v, %v", a, err)
	}
	for _, in := range []*auth.CheckRequest{nil, {}, question("GET", "", "", "", ""), question("GET", issuesHost, "/")} {
		agree(t, sent(in))
	}
}

// Envoy's messages broken off anywhere, with any byte changed, and with pieces put elsewhere: never a panic, never another meaning.
func TestDamagedMessages(t *testing.T) {
	good := sent(whole())
	for i := range good {
		agree(t, good[:i])
		for _, b := range []byte{0, 1, 0x7f, 0x80, 0xff, good[i] ^ 1, good[i] ^ 8, good[i] + 1} {
			agree(t, good[:i]+string([]byte{b})+good[i+1:])
		}
	}
	r := rand.New(rand.NewSource(1))
	for range 5000 {
		a, b, c := r.Intn(len(good)), r.Intn(len(good)), r.Intn(len(good))
		agree(t, good[:a]+good[min(b, c):max(b, c)]+good[a:])
	}
}

func FuzzDecode(f *testing.F) {
	for _, in := range []*auth.CheckRequest{{}, whole(), question("GET", issuesHost, "/", "a", "b")} {
		f.Add([]byte(sent(in)))
	}
	f.Add([]byte(sent(whole()) + sent(whole())))
	f.Fuzz(func(t *testing.T, message []byte) { agree(t, string(message)) })
}

// What the protocol would merge, or let the last one of win, is refused, at every place that is read. It is Envoy's fault and goes to the log.
func TestNothingThatIsReadMayStandTwice(t *testing.T) {
	put := func(path []protowire.Number, value string) string { // value as a field below the path
		b := []byte(value)
		for i := len(path) - 1; i >= 0; i-- {
			b = protowire.AppendBytes(protowire.AppendTag(nil, path[i], protowire.BytesType), b)
		}
		return string(b)
	}
	http := string(put([]protowire.Number{2}, "GET") + put([]protowire.Number{4}, "/") + put([]protowire.Number{5}, issuesHost))
	in := func(number protowire.Number, value string) string { return put([]protowire.Number{1, number}, value) }
	doubled := func(one, two string) string { return one + two }
	product := func(v string) string {
		return put([]protowire.Number{1}, put([]protowire.Number{1}, "product")+put([]protowire.Number{2}, v))
	}
	namespace := func(v string) string {
		return put([]protowire.Number{1}, put([]protowire.Number{1}, "isogate")+put([]protowire.Number{2}, v))
	}
	header := func(lines string) string {
		return in(4, put([]protowire.Number{2}, http+put([]protowire.Number{13, 1}, lines)))
	}
	key, value, raw := put([]protowire.Number{1}, "x"), put([]protowire.Number{2}, "a"), put([]protowire.Number{3}, "b")
	text, socket := put([]protowire.Number{3}, "issues"), put([]protowire.Number{1, 2}, "192.0.2.1")
	for name, m := range map[string]string{
		"attributes":           doubled(in(4, ""), in(4, "")),
		"source":               put([]protowire.Number{1}, put([]protowire.Number{1}, "")+put([]protowire.Number{1}, "")),
		"request":              put([]protowire.Number{1}, put([]protowire.Number{4}, "")+put([]protowire.Number{4}, "")),
		"HTTP":                 in(4, put([]protowire.Number{2}, http)+put([]protowire.Number{2}, "")),
		"method":               in(4, put([]protowire.Number{2}, http+put([]protowire.Number{2}, "POST"))),
		"path":                 in(4, put([]protowire.Number{2}, http+put([]protowire.Number{4}, "/b"))),
		"path, empty":          in(4, put([]protowire.Number{2}, http+put([]protowire.Number{4}, ""))),
		"host":                 in(4, put([]protowire.Number{2}, http+put([]protowire.Number{5}, "evil"))),
		"id":                   in(4, put([]protowire.Number{2}, http+put([]protowire.Number{1}, "1")+put([]protowire.Number{1}, "2"))),
		"body":                 in(4, put([]protowire.Number{2}, http+put([]protowire.Number{11}, "")+put([]protowire.Number{11}, "a"))),
		"raw body":             in(4, put([]protowire.Number{2}, http+put([]protowire.Number{12}, "a")+put([]protowire.Number{12}, ""))),
		"certificate":          in(1, put([]protowire.Number{5}, "a")+put([]protowire.Number{5}, "b")),
		"header map":           in(4, put([]protowire.Number{2}, http+put([]protowire.Number{13}, "")+put([]protowire.Number{13}, ""))),
		"header name":          header(key + key),
		"header value":         header(key + value + value),
		"raw value":            header(key + raw + raw),
		"both values":          header(key + value + raw),
		"server name":          in(12, put([]protowire.Number{1}, "a")+put([]protowire.Number{1}, "b")),
		"address":              in(1, put([]protowire.Number{1}, "")+put([]protowire.Number{1}, "")),
		"socket and pipe":      in(1, put([]protowire.Number{1}, socket+put([]protowire.Number{2}, ""))),
		"pipe and socket":      in(1, put([]protowire.Number{1}, put([]protowire.Number{2}, "")+socket)),
		"socket's address":     in(1, put([]protowire.Number{1, 1}, put([]protowire.Number{2}, "a")+put([]protowire.Number{2}, "b"))),
		"namespace":            in(13, namespace("")+namespace(product(text))),
		"namespace's name":     in(13, put([]protowire.Number{1}, put([]protowire.Number{1}, "a")+put([]protowire.Number{1}, "isogate"))),
		"product":              in(13, namespace(product(text)+product(text))),
		"product's value":      in(13, namespace(product(text+text))),
		"a number, then text":  in(13, namespace(product("\x20\x01"+text))),
		"a host that is none":  in(4, put([]protowire.Number{2}, "\x28\x01")), // the number of a text, with a number in it
		"a message, no length": "\x08\x01",
	} {
		if _, err := Parse(m); !errors.Is(err, errTwice) || !errors.Is(err, errEnvoy) {
			t.Errorf("%s: %v", name, err)
		}
		agree(t, m)
	}
	if _, err := Parse(in(4, put([]protowire.Number{2}, http+put([]protowire.Number{13}, ""))) + put([]protowire.Number{7}, "") + put([]protowire.Number{7}, "")); err != nil {
		t.Errorf("what is not read may stand twice: %v", err)
	}
}

func TestMalformedMessages(t *testing.T) {
	for name, m := range map[string]string{
		"no number": "\x02\x00", "a number too large": "\xfa\xff\xff\xff\xff\x01\x00", "a group": "\x7b\x7c", "an end of a group": "\x7c", "kind 6": "\x7e", "kind 7": "\x7f",
		"a length beyond the end": "\x0a\x05abc", "a length of 64 bits": "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "a length of 65 bits": "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
		"a varint without end": "\x78\xff", "a number of 65 bits": "\x78\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "eleven bytes": "\x78\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", "half a fixed64": "\x79abcdefg", "half a fixed32": "\x7dabc", "a tag alone": "\x0a",
	} {
		if _, err := Parse(m); !errors.Is(err, errBroken) || !errors.Is(err, errEnvoy) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a client can do is refused as its fault, and is no reason to write to the log.
func TestWhatAClientCanDo(t *testing.T) {
	in := question("GET", issuesHost, "/?q=~~")
	message := strings.Replace(sent(in), "q=~~", "q=\xff\xfe", 1)
	if _, err := Parse(message); !errors.Is(err, errText) || errors.Is(err, errEnvoy) {
		t.Errorf("a query that is not UTF-8: %v", err)
	}
	for range maxLines {
		in.Attributes.Request.Http.HeaderMap.Headers = append(in.Attributes.Request.Http.HeaderMap.Headers, &core.HeaderValue{Key: "a"})
	}
	if got, err := parse(in); err != nil || len(got.Header["a"]) != maxLines {
		t.Errorf("as many lines as may be: %d, %v", len(got.Header["a"]), err)
	}
	in.Attributes.Request.Http.HeaderMap.Headers = append(in.Attributes.Request.Http.HeaderMap.Headers, &core.HeaderValue{Key: "a"})
	if _, err := parse(in); !errors.Is(err, errLines) || errors.Is(err, errEnvoy) {
		t.Errorf("one line more: %v", err)
	}
}
