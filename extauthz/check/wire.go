package check

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// errEnvoy means that the question is not one of an Envoy that is set up for us: the client did nothing wrong.
var errEnvoy = errors.New("check: not the question of an Envoy that is set up for us")

var (
	errBroken = fmt.Errorf("%w: its message is broken off or malformed", errEnvoy)
	errTwice  = fmt.Errorf("%w: its message can be read in two ways", errEnvoy)
)

// errText means that what must be text is not UTF-8. A client can do that to its query.
var errText = errors.New("check: not UTF-8")

// message is a protocol buffers message as it travels (https://protobuf.dev/programming-guides/encoding/). Reading it copies nothing: what
// comes out are pieces of it. It is stricter than the generated code: where that lets the last of two win, or merges them, two readers could
// see two messages, so it is refused here.
type message string

// field is one field of a message. What is no text, bytes or message has no value here.
type field struct {
	number uint64
	kind   protowire.Type
	value  message
}

// numbers is a set of field numbers below 64.
type numbers uint64

func set(all ...uint64) (s numbers) {
	for _, n := range all {
		s |= 1 << n
	}
	return s
}

func (s numbers) has(n uint64) bool { return n < 64 && s>>n&1 != 0 }

// read gives take the value of every field that is asked for: those of one may stand once, those of many may repeat. All others are passed
// over, whatever they hold.
func (m message) read(one, many numbers, take func(number uint64, value message) error) error {
	var seen numbers
	for m != "" {
		f, rest, err := m.next()
		if err != nil {
			return err
		}
		m = rest
		if !(one | many).has(f.number) {
			continue
		}
		if f.kind != protowire.BytesType || (one & seen).has(f.number) {
			return errTwice
		}
		seen |= 1 << f.number
		if err := take(f.number, f.value); err != nil {
			return err
		}
	}
	return nil
}

// entries reads a map, which is field 1 of the message, and gives take the values under the keys that are asked for.
func (m message) entries(keys []string, take func(key string, value message) error) error {
	var seen numbers
	return m.read(0, set(1), func(_ uint64, entry message) error {
		var key string
		var value message
		err := entry.read(set(1, 2), 0, func(number uint64, part message) (err error) {
			if number == 2 {
				value = part
				return nil
			}
			key, err = part.text()
			return err
		})
		at := slices.Index(keys, key)
		if err != nil || at < 0 {
			return err
		}
		if seen.has(uint64(at)) {
			return errTwice
		}
		seen |= 1 << at
		return take(key, value)
	})
}

// sole is the only field of a message of which one field at most may be set (a oneof); the zero field if there is none.
func (m message) sole() (field, error) {
	if m == "" {
		return field{}, nil
	}
	f, rest, err := m.next()
	if err == nil && rest != "" {
		err = errTwice
	}
	return f, err
}

func (m message) text() (string, error) {
	if !utf8.ValidString(string(m)) {
		return "", errText
	}
	return string(m), nil
}

// next takes the first field off. Groups, which no message of today has, count as malformed.
func (m message) next() (f field, rest message, err error) {
	tag, m, err := m.varint()
	if err != nil {
		return field{}, "", err
	}
	f = field{number: tag >> 3, kind: protowire.Type(tag & 7)}
	if f.number < uint64(protowire.MinValidNumber) || f.number > uint64(protowire.MaxValidNumber) {
		return field{}, "", errBroken
	}
	size := uint64(0)
	switch f.kind {
	case protowire.VarintType:
		_, m, err = m.varint()
	case protowire.Fixed64Type:
		size = 8
	case protowire.Fixed32Type:
		size = 4
	case protowire.BytesType:
		size, m, err = m.varint()
	default:
		err = errBroken
	}
	if err != nil || size > uint64(len(m)) {
		return field{}, "", errBroken
	}
	f.value = m[:size]
	return f, m[size:], nil
}

// varint takes a number of 64 bits off.
func (m message) varint() (n uint64, rest message, err error) {
	for i := 0; i < len(m) && i < 10; i++ {
		b := m[i]
		if i == 9 && b > 1 {
			break // more than 64 bits
		}
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return n, m[i+1:], nil
		}
	}
	return 0, "", errBroken
}
