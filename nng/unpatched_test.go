package nng_test

import (
	"github.com/gonng/nnghttp/internal/unpatched"
	"github.com/gonng/nnghttp/nng"
)

// skips are the tests that a libnng without our patches cannot pass.
var skips = []unpatched.Skip{
	{Test: "TestEscapedPath", Defect: "S1"},
	{Test: "TestUpstreamMainHTTPServer/server_canonify", Defect: "S1"},

	// Connections that end over TLS hang.
	{Test: "TestConn/*TLS", Defect: "T3", Often: true},
	{Test: "TestConnCloseSendsWhatIsQueued/*/TLS", Defect: "T3", Often: true},
	{Test: "TestConnWriteAfterDeadline/TLS", Defect: "T3", Often: true},
	{Test: "TestConnCancelClosesTheConnection/TLS", Defect: "X12", Often: true},
	{Test: "TestCancelAgainstSilentServer/https", Defect: "CL17"}, // no operation of nng's ends after that

	{Test: "TestErrorAnswerClosesBehindABody", Defect: "P1"},
	{Test: "TestErrorAnswersClose", Defect: "P1"},
	{Test: "TestRedirectWithABody", Defect: "P20"},
	{Test: "TestRepeatedFields", Defect: "P17"},
	{Test: "TestLargeHeads", Defect: "P6"},
	{Test: "TestHeadLimits", Defect: "P7"},
	{Test: "TestEmptyLinesBeforeARequest", Defect: "P8"},
	{Test: "TestFieldBytes", Defect: "P9"},
	{Test: "TestBadRequestsAreAnswered", Defect: "P10"},
	{Test: "TestErrorAnswerToHead", Defect: "P11"},
	{Test: "TestHeadGoesWhereGetGoes", Defect: "P11"},
	{Test: "TestAnswerBeforeALargeBody", Defect: "P20"},
	{Test: "TestAnswerBeforeTheBodyIsRead", Defect: "P20"},
	{Test: "TestEndAfterAnEarlyAnswer", Defect: "P20"},
	{Test: "TestTargetsWithoutPath", Defect: "P22"},
	{Test: "TestErrorPagesNameTheirStatus", Defect: "P29"},

	{Test: "TestUntrustedPeerIsNotAuthenticated", Defect: "X3"},
	{Test: "TestConnectWaitsForTheServer", Defect: "X4"},

	{Test: "TestWSCloseListener", Defect: "W2"},
	{Test: "TestWSDialerSizes", Defect: "W4"},
	{Test: "TestWSRefusalCloses", Defect: "P1"},
	{Test: "TestWSCloseAnswered", Defect: "W6"},
	{Test: "TestWSWords", Defect: "W7"},
	{Test: "TestWSManyFragments", Defect: "W9"},
	{Test: "TestWSPings", Defect: "W14"},

	{Test: "TestSlowReaderGetsEverything", Defect: "X10", Often: true},

	{Test: "TestDraftCost", Defect: "P4"}, // the binding checks each head itself, which costs
	{Test: "TestNoThreadOfNngIsWoken", Defect: "N3"},

	{Test: "TestConnAddresses", Defect: "L1"},
	{Test: "TestUpstreamMainHTTPServer/server_address_checks", Defect: "L1"},
}

var lib = func() unpatched.Library {
	l := nng.LinkInfo()
	return unpatched.Library{Name: l.String(), Version: l.Version, Patches: l.Patches, Shared: l.Mode == "system", Trusted: l.Mode == "custom"}
}()

// left are those that the library under test cannot pass.
var left = lib.Left(skips)

// patched says whether the library has our patches, for tests that tell what it does
// without them. A custom one is taken for patched: scripts/check-patches links one that
// lacks a single patch, to see a test fail.
func patched() bool {
	l := nng.LinkInfo()
	return len(l.Patches) > 0 || l.Mode == "custom"
}
