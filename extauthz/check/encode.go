package check

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"

	"isogate/extauthz/page"
)

// streamHeader tells Envoy how long the stream may last. It does not reach the product.
const streamHeader = "x-envoy-upstream-stream-duration-ms"

// Numbers of the fields that are written
// (https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/auth/v3/external_auth.proto).
const (
	responseStatus   = 1 // of CheckResponse
	responseDenied   = 2
	responseOK       = 3
	responseMetadata = 4

	statusCode    = 1 // of google.rpc.Status and of HttpStatus
	deniedStatus  = 1 // of DeniedHttpResponse
	deniedHeaders = 2
	deniedBody    = 3
	okHeaders     = 2 // of OkHttpResponse
	okRemove      = 5
	okRespond     = 6 // response_headers_to_add

	optionHeader = 1 // of HeaderValueOption
	optionAction = 3

	structFields = 1 // of google.protobuf.Struct, a map
	entryKey     = 1
	entryValue   = 2
)

// What Envoy does with a header that stands there already; both add one that does not.
const (
	appendTo  = 0 // APPEND_IF_EXISTS_OR_ADD
	overwrite = 2 // OVERWRITE_IF_EXISTS_OR_ADD
)

// Encode writes a verdict as Envoy's answer, a CheckResponse as it travels, and says which verdict it wrote: the given one, or the 503 that
// an unsound one became. To Envoy an empty CheckResponse allows the request, and so does one whose status is OK with a denial inside; so the
// status is written in one place, and what is not plainly a pass is a denial.
func Encode(v Verdict) (answer []byte, said Verdict) {
	v = sound(v)
	b := make([]byte, 0, room(v))
	if v.Allow {
		b = nest(b, responseStatus, func(b []byte) []byte { return number(b, statusCode, uint64(codes.OK)) })
		b = nest(b, responseOK, func(b []byte) []byte { return pass(b, v) })
	} else {
		b = nest(b, responseStatus, func(b []byte) []byte { return number(b, statusCode, uint64(codes.PermissionDenied)) })
		b = nest(b, responseDenied, func(b []byte) []byte { return denial(b, v.Answer) })
	}
	return nest(b, responseMetadata, func(b []byte) []byte { return metadata(b, v) }), v
}

// room is about as much as an answer takes, in bytes.
func room(v Verdict) int {
	n := 256 + len(v.Answer.Body) + len(v.Caller) + len(v.Policy) + len(v.Rule)
	for _, fields := range [][]page.Field{v.Set, v.Respond, v.Answer.Header} {
		for _, f := range fields {
			n += len(f.Name) + len(f.Value) + 16
		}
	}
	for _, name := range v.Remove {
		n += len(name) + 4
	}
	return n
}

func pass(b []byte, v Verdict) []byte {
	for _, f := range v.Set {
		b = option(b, okHeaders, f, overwrite)
	}
	if v.Stream > 0 {
		ms := strconv.FormatInt(max(v.Stream, time.Millisecond).Milliseconds(), 10)
		b = option(b, okHeaders, page.Field{Name: streamHeader, Value: ms}, overwrite)
	}
	for _, name := range v.Remove {
		b = text(b, okRemove, name)
	}
	for _, f := range v.Respond {
		b = option(b, okRespond, f, appendTo) // beside the backend's own
	}
	return b
}

func denial(b []byte, a page.Answer) []byte {
	b = nest(b, deniedStatus, func(b []byte) []byte { return number(b, statusCode, uint64(a.Status)) })
	for _, f := range a.Header {
		b = option(b, deniedHeaders, f, appendTo)
	}
	return text(b, deniedBody, a.Body)
}

func option(b []byte, field protowire.Number, f page.Field, action uint64) []byte {
	return nest(b, field, func(b []byte) []byte {
		b = nest(b, optionHeader, func(b []byte) []byte { return text(text(b, headerKey, f.Name), headerValue, f.Value) })
		return number(b, optionAction, action)
	})
}

// metadata is what the access log can say about a decision.
func metadata(b []byte, v Verdict) []byte {
	b = entry(b, "reason", string(v.Reason))
	if v.Method != "" {
		b = entry(b, "method", v.Method)
	}
	if v.Caller != "" {
		b = entry(b, "caller", v.Caller)
	}
	if v.Policy != "" {
		b = entry(b, "policy", v.Policy)
	}
	if v.Rule != "" {
		b = entry(b, "rule", v.Rule)
	}
	return b
}

func entry(b []byte, key, value string) []byte {
	return nest(b, structFields, func(b []byte) []byte {
		return nest(text(b, entryKey, key), entryValue, func(b []byte) []byte { return text(b, valueString, strings.ToValidUTF8(value, "?")) })
	})
}

// nest appends a message as a field of another: its length stands before it and is known only after it.
func nest(b []byte, field protowire.Number, write func([]byte) []byte) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	start := len(b)
	b = write(b)
	size := len(b) - start
	prefix := protowire.SizeVarint(uint64(size))
	b = append(b, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"[:prefix]...)
	copy(b[start+prefix:], b[start:start+size])
	protowire.AppendVarint(b[:start], uint64(size))
	return b
}

// text appends a text, and number a number, as a field. What is empty or zero is not written, as the protocol has it; where that would count, in
// a list or a oneof, ours never is.
func text[T string | []byte](b []byte, field protowire.Number, s T) []byte {
	if len(s) == 0 {
		return b
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), uint64(len(s)))
	return append(b, s...)
}

func number(b []byte, field protowire.Number, n uint64) []byte {
	if n == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), n)
}
