//go:build nng_beside

package nng

// For beside_test.go.
var (
	BesideBlock      = besideBlock
	BesideBlocked    = besideBlocked
	BesideRelease    = besideRelease
	BesideCallback   = besideCallback
	BesidePings      = besidePings
	BesideFini       = besideFini
	BesideLostSignal = besideLostSignal
)
