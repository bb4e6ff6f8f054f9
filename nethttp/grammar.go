package nethttp

import (
	"iter"

	"github.com/gonng/nnghttp/internal/grammar"
)

func isToken(s string) bool { return grammar.IsToken(s) }

func isHost(s string) bool { return grammar.IsHost(s) }

func elements(values []string) iter.Seq[string] { return grammar.Elements(values) }

func hasToken(values []string, token string) bool { return grammar.HasToken(values, token) }
