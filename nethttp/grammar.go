package nethttp

import (
	"iter"
	"net/textproto"
	"strings"
)

// The grammar of RFC 9110 and 9112, as far as it is not in the standard library.

// isToken reports whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

// isFieldValue reports whether s may be the value of a field (RFC 9110, section 5.5).
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isHost reports whether s consists of what a Host field may hold (RFC 3986, section 3.2).
func isHost(s string) bool {
	for i := range len(s) {
		if !hostBytes[s[i]] {
			return false
		}
	}
	return true
}

const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

var (
	tokenBytes = byteSet(alphanumeric + "!#$%&'*+-.^_`|~")
	hostBytes  = byteSet(alphanumeric + "-._~!$%&'()*+,;=:[]")
)

func byteSet(members string) (set [256]bool) {
	for i := range len(members) {
		set[members[i]] = true
	}
	return set
}

// elements yields the elements of a list (RFC 9110, section 5.6.1).
func elements(values []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, v := range values {
			for e := range strings.SplitSeq(v, ",") {
				if e = textproto.TrimString(e); e != "" && !yield(e) {
					return
				}
			}
		}
	}
}

// hasToken reports whether a list has an element, in any case.
func hasToken(values []string, token string) bool {
	for e := range elements(values) {
		if strings.EqualFold(e, token) {
			return true
		}
	}
	return false
}
