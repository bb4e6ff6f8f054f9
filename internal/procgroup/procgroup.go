// Package procgroup starts commands together with what they start themselves, and ends all of
// that: "go run", "npm start" and shells do not pass signals on.
package procgroup
