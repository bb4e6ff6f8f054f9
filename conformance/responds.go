package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// Responds is what the first response with a status has to have. Without such a response it
// says nothing: that is for Case.Allowed. Follow-ups do not count.
type Responds struct {
	Status int `yaml:"status"`
	// Fields and their values. "*" is any value, and no value at all means no such field.
	Fields map[string][]string `yaml:"fields"`
	// Body is what the body has to be, if it is set.
	Body *string `yaml:"body"`
}

// wrong says what is wrong with the responses.
func (want *Responds) wrong(all []*Response) string {
	if want == nil {
		return ""
	}
	i := slices.IndexFunc(all, func(r *Response) bool {
		e := r.echo()
		return r.Status == want.Status && (e == nil || !e.followUp())
	})
	if i < 0 {
		return ""
	}
	r := all[i]
	for name, values := range want.Fields {
		got := r.Values(name)
		if len(values) == 1 && values[0] == "*" && len(got) > 0 {
			continue
		}
		if strings.Join(got, ", ") != strings.Join(values, ", ") || (got == nil) != (len(values) == 0) {
			return fmt.Sprintf("%s of %d is %s and not %s", name, r.Status, strings.Join(quoted(got), ","), strings.Join(quoted(values), ","))
		}
	}
	if body := toLatin1(r.Body); want.Body != nil && body != *want.Body {
		return fmt.Sprintf("the body of %d is %s and not %s", r.Status, printableQuoted(body), printableQuoted(*want.Body))
	}
	return ""
}
