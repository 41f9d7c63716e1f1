package privacy

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// Canary is something that tells who a person is.
type Canary struct {
	What string // such as "name of robin"; what a report says instead of the text
	Text string // at least minText bytes
}

// minText keeps a canary from being found by chance in random bytes.
const minText = 8

// form is one way to write a canary.
type form struct {
	how    string
	bytes  []byte
	folded bool // whether the case of its letters means nothing
}

// forms are all the ways in which a text is looked for. Each is at least as long as minText.
func forms(text string) (all []form) {
	seen := map[string]bool{}
	add := func(how string, folded bool, written string) {
		if folded {
			written = strings.ToLower(written)
		}
		if key := fmt.Sprint(folded, written); !seen[key] {
			seen[key] = true
			all = append(all, form{how, []byte(written), folded})
		}
	}
	add("raw", true, text)
	add("raw", true, strings.ReplaceAll(text, " ", "+")) // as in a form; what else escapes did is undone before the search
	for _, spelled := range []string{text, strings.ToLower(text), strings.ToUpper(text)} {
		add("hex", true, hex.EncodeToString([]byte(spelled)))
		for _, part := range base64s(spelled) {
			add("base64", false, part)
		}
		for name, sum := range sums(spelled) {
			add(name+" in hex", true, hex.EncodeToString(sum)[:2*prefix])
			for _, alphabet := range alphabets {
				add(name+" in base64", false, alphabet.EncodeToString(sum)[:prefix*8/6])
			}
		}
	}
	return all
}

// prefix is how much of a hash is looked for, in bytes: identifiers are often made of the first half.
const prefix = 16

func sums(text string) map[string][]byte {
	m, s1, s256 := md5.Sum([]byte(text)), sha1.Sum([]byte(text)), sha256.Sum256([]byte(text))
	return map[string][]byte{"MD5": m[:], "SHA-1": s1[:], "SHA-256": s256[:]}
}

var alphabets = []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding}

// base64s are what a text always looks like inside of something longer that is encoded: in each of the three places where it may begin in a
// group of three bytes, without the characters that its neighbours have a part in.
func base64s(text string) (parts []string) {
	for skip := range 3 {
		padded := append(make([]byte, skip), text...)
		from, to := (skip*8+5)/6, len(padded)*8/6
		for _, alphabet := range alphabets {
			parts = append(parts, alphabet.EncodeToString(padded)[from:to])
		}
	}
	return parts
}
