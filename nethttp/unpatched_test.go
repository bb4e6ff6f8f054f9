package nethttp_test

import (
	"github.com/gonng/nnghttp/internal/unpatched"
	"github.com/gonng/nnghttp/nng"
)

// skips are the tests that a libnng without our patches cannot pass.
var skips = []unpatched.Skip{
	// It reads and writes past a buffer, which may show or not.
	{Test: "TestDifferential/targets/escape-at-the-end", Defect: "S1", Often: true},
	{Test: "TestDifferential/field-lines/folded-content-length-without-a-handler", Defect: "P5"},
	{Test: "TestDifferential/field-lines/space-before-the-colon-without-a-handler", Defect: "P5"},
	{Test: "TestDifferential/request-line/http-01-01", Defect: "P10"},
	{Test: "TestDifferential/request-line/line-of-spaces", Defect: "P10"},
	{Test: "TestDifferential/request-line/space-after-the-slash-of-the-version", Defect: "P10"},
	{Test: "TestDifferential/request-line/space-in-the-target", Defect: "P10"},
	{Test: "TestDifferential/targets/options-asterisk-with-a-body", Defect: "P1"},
	{Test: "TestNothingSmuggledBeside", Defect: "P5"},
	{Test: "TestCookieCommas", Defect: "P6"},
	{Test: "TestChunkCost", Defect: "P31"},
	{Test: "TestHeadCost", Defect: "P30"},
	{Test: "TestLingerEndsAtOnce", Defect: "P20"},
	{Test: "TestTransportServerClosesIdle/https", Defect: "T3", Often: true},
	{Test: "TestTransportManyHosts", Defect: "X3"},

	{Test: "TestContextValues", Defect: "L1"},
	{Test: "TestListenServesNetHTTP", Defect: "L1 P17"},
	{Test: "TestRequest", Defect: "L1"},
}

var lib = func() unpatched.Library {
	l := nng.LinkInfo()
	return unpatched.Library{Name: l.String(), Version: l.Version, Patches: l.Patches, Shared: l.Mode == "system", Trusted: l.Mode == "custom"}
}()

// left are those that the library under test cannot pass.
var left = lib.Left(skips)
