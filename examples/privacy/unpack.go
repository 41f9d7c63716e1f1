package privacy

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
)

// maxUnpacked bounds what one compressed piece may become, in bytes.
const maxUnpacked = 4 << 20

// packings are how a compressed piece begins (RFC 1952 section 2.3.1, RFC 1950 section 2.2), and what reads it. Brotli has no sign to know it by,
// and the standard library does not read it.
var packings = []struct {
	magic string
	open  func(io.Reader) (io.ReadCloser, error)
}{
	{"\x1f\x8b\x08", func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }},
	{"\x78\x01", zlib.NewReader}, {"\x78\x5e", zlib.NewReader}, {"\x78\x9c", zlib.NewReader}, {"\x78\xda", zlib.NewReader},
}

// unpack gives the content of everything compressed that some bytes hold, as far as it can be read.
func unpack(in []byte) (pieces [][]byte) {
	for _, p := range packings {
		for at, rest := 0, in; ; rest = in[at:] {
			found := bytes.Index(rest, []byte(p.magic))
			if found < 0 {
				break
			}
			if piece := read(p.open, rest[found:]); len(piece) > 0 {
				pieces = append(pieces, piece)
			}
			at += found + len(p.magic)
		}
	}
	return pieces
}

// read gives what can be read before the first fault: a piece may be cut, and what looks like one may be none.
func read(open func(io.Reader) (io.ReadCloser, error), from []byte) []byte {
	r, err := open(bytes.NewReader(from))
	if err != nil {
		return nil
	}
	defer r.Close()
	piece, _ := io.ReadAll(io.LimitReader(r, maxUnpacked))
	return piece
}
