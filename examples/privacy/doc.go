// Package privacy measures what the commercial side learns about people. Its test walks the whole federated login and every way in which it can
// fail, in a world of its own whose people are named by words that occur nowhere else; then it searches everything that the commercial side
// received, sent, wrote or shows for those words, as they are and in the forms in which they could travel unnoticed.
//
// The package owns the search ([Finder]) and the recording of what passes between two processes ([Relay]). What the memory of a process holds is
// out of its scope: a person's address is in it while the one request that brings it is answered.
package privacy
