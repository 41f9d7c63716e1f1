package snapshot

import (
	"fmt"
	"testing"

	"isogate/policies"
)

// BenchmarkPolicyEdit is what one edited endpoint among ten thousand costs before anything is sent.
func BenchmarkPolicyEdit(b *testing.B) {
	c, _ := crossingCloud()
	var list []policies.Endpoint
	for i := range 10_000 {
		list = append(list, policies.Endpoint{ID: fmt.Sprint("issue.", i), Product: "issues", Method: "GET", Path: fmt.Sprintf("/rest/api/%d/issue/{key}", i)})
	}
	lists := new(Lists)
	build := func() {
		if _, err := lists.Gateway(c, list, []Certificate{{Name: "a", Chain: []byte("chain")}}, []byte("callers")); err != nil {
			b.Fatal(err)
		}
	}
	build()
	for n := 0; b.Loop(); n++ {
		list[n%len(list)].Method = "HEAD"
		build()
	}
}
