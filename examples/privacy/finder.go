package privacy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// Finder looks for canaries in all their forms at once.
type Finder struct {
	exact, folded index
}

// Hit is a canary that was found.
type Hit struct {
	Canary string // what it is
	How    string // its form, such as "base64"
	At     int    // where it begins
	In     []byte // what was searched, once it was unpacked and its escapes were undone
}

// NewFinder refuses a canary that could be found by chance.
func NewFinder(canaries []Canary) (*Finder, error) {
	var f Finder
	for _, c := range canaries {
		if len(c.Text) < minText {
			return nil, fmt.Errorf("privacy: the %s has less than %d bytes", c.What, minText)
		}
		for _, written := range forms(c.Text) {
			n := needle{written.bytes, c.What, written.how}
			if written.folded {
				f.folded.add(n)
			} else {
				f.exact.add(n)
			}
		}
	}
	return &f, nil
}

// Find searches some bytes, what is compressed in them, and both with their escapes undone, as often as there are any. Of several hits of one
// canary in one form it tells the first.
func (f *Finder) Find(in []byte) (hits []Hit) {
	for _, piece := range append([][]byte{in}, unpack(in)...) {
		for range maxEscaped {
			for _, h := range f.plain(piece) {
				if !slices.ContainsFunc(hits, func(was Hit) bool { return was.Canary == h.Canary && was.How == h.How }) {
					h.In = piece
					hits = append(hits, h)
				}
			}
			undone, changed := unescape(piece)
			if !changed {
				break
			}
			piece = undone
		}
	}
	return hits
}

func (f *Finder) plain(in []byte) []Hit {
	return append(f.exact.find(in), f.folded.find(fold(in))...)
}

// fold makes ASCII letters small, and touches no other byte.
func fold(in []byte) []byte {
	out := slices.Clone(in)
	for i, b := range out {
		if 'A' <= b && b <= 'Z' {
			out[i] = b + 'a' - 'A'
		}
	}
	return out
}

// needle is one form of one canary.
type needle struct {
	bytes    []byte
	what, as string
}

// index finds needles by their first four bytes.
type index struct {
	heads  [1 << 16]bool
	byHead map[uint32][]needle
}

// bucket spreads the first bytes of needles (Knuth, The Art of Computer Programming 3, section 6.4).
func bucket(head uint32) uint16 { return uint16(head * 2654435761 >> 16) }

func (x *index) add(n needle) {
	if x.byHead == nil {
		x.byHead = map[uint32][]needle{}
	}
	head := binary.LittleEndian.Uint32(n.bytes)
	x.heads[bucket(head)] = true
	x.byHead[head] = append(x.byHead[head], n)
}

func (x *index) find(in []byte) (hits []Hit) {
	for at := 0; at+4 <= len(in); at++ {
		head := binary.LittleEndian.Uint32(in[at:])
		if !x.heads[bucket(head)] {
			continue
		}
		for _, n := range x.byHead[head] {
			same := func(h Hit) bool { return h.Canary == n.what && h.How == n.as }
			if bytes.HasPrefix(in[at:], n.bytes) && !slices.ContainsFunc(hits, same) {
				hits = append(hits, Hit{Canary: n.what, How: n.as, At: at})
			}
		}
	}
	return hits
}
