package main

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/gonng/nnghttp/conformance"
)

// A selection of cases.
type selection struct {
	Case  []string            `placeholder:"PATTERN" help:"Only these cases: ids, or patterns as chunks/*."`
	Topic []string            `placeholder:"NAME" help:"Only cases of these topics; nngconform list shows them."`
	Level []conformance.Level `placeholder:"LEVEL" help:"Only cases of these levels: must, should, may, check."`
	Role  []conformance.Role  `placeholder:"ROLE" help:"Only cases for these: server, client, websocket-server, websocket-client."`
}

func (s *selection) cases() ([]*conformance.Case, error) {
	all, err := conformance.Cases()
	if err != nil {
		return nil, err
	}
	some := all
	for _, x := range []struct {
		what  string
		names []string
		is    func(c *conformance.Case, name string) bool
	}{
		{"case", s.Case, func(c *conformance.Case, p string) bool { ok, _ := path.Match(p, c.ID); return ok }},
		{"topic", s.Topic, func(c *conformance.Case, name string) bool { return c.Topic() == name }},
		{"level", texts(s.Level), func(c *conformance.Case, name string) bool { return string(c.Level) == name }},
		{"role", texts(s.Role), func(c *conformance.Case, name string) bool { return string(c.Role()) == name }},
	} {
		if len(x.names) == 0 {
			continue
		}
		// Each name has to be there: else one with a typing error would test nothing.
		for _, name := range x.names {
			if !slices.ContainsFunc(all, func(c *conformance.Case) bool { return x.is(c, name) }) {
				return nil, fmt.Errorf("no %s is called %s; nngconform list shows them", x.what, name)
			}
		}
		some = slices.DeleteFunc(slices.Clone(some), func(c *conformance.Case) bool {
			return !slices.ContainsFunc(x.names, func(name string) bool { return x.is(c, name) })
		})
	}
	if len(some) == 0 {
		return nil, errors.New("no case is all of what is asked for")
	}
	return some, nil
}

func texts[T ~string](all []T) (s []string) {
	for _, one := range all {
		s = append(s, string(one))
	}
	return s
}
