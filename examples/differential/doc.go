// Package differential holds one request against four readers of it: Envoy's routes, the check, the policies, and the product. Its tests send
// raw bytes, as HTTP/1.1 and as HTTP/2 frames, through real Envoys that the real control plane configures and that ask the real checks, and
// demand that all four saw one and the same request, or that the answer is a refusal and no product heard of it.
//
// It does so at the ingress, and at the gateway: there by callers that speak to it themselves, and by a service through its sidecar, whose check
// signs what the gateway's check verifies. What is not exposed must get one and the same answer, to the byte.
//
// It owns the rules of that agreement (rules_test.go, gateway_rules_test.go), the published ways around such a boundary as seeds, and two fuzz tests:
//
//	go test ./examples/differential -fuzz FuzzIngress -fuzztime 5m
//	go test ./examples/differential -fuzz FuzzGateway -fuzztime 5m
//
// It has no code but tests. What a person sees in a browser is not its matter: see examples/world.
package differential
