// Package doctest keeps the documentation true: its test compiles every Go block and
// runs every command of the README and the other pages.
package doctest
