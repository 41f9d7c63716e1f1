// Package differential holds one request against four readers of it: Envoy's routes, the check, the policies, and the product. Its tests send
// raw bytes, as HTTP/1.1 and as HTTP/2 frames, through a real Envoy that the real control plane configures and that asks the real check, and
// demand that all four saw one and the same request, or that the answer is a refusal and no product heard of it.
//
// It owns the rules of that agreement (rules_test.go), the published ways around such a boundary as seeds, and a fuzz test:
//
//	go test ./examples/differential -fuzz FuzzIngress -fuzztime 5m
//
// It has no code but tests. What a person sees in a browser is not its matter: see examples/world.
package differential
