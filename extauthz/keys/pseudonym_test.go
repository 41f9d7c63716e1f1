package keys

import "testing"

// The value of one is written down: ids that change make strangers of everybody.
func TestPseudonym(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	const want = "W8aXDzoNtda2ePEiCiTqvw"
	if got := Pseudonym(key, "ab", "c"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	seen := map[string]bool{want: true}
	for _, other := range []string{Pseudonym(key, "a", "bc"), Pseudonym(key, "abc"), Pseudonym(key, "ab", "c", ""), Pseudonym(key[1:], "ab", "c"), Pseudonym(key)} {
		if seen[other] || len(other) != 22 {
			t.Errorf("%s stands for two", other)
		}
		seen[other] = true
	}
}
