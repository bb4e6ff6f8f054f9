package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Known are the differences that somebody has looked at: ids of cases, and what was observed
// (Finding.Answer). One that is not listed is news, and so is one that has gone or changed.
type Known map[string]string

// LoadKnown reads known differences from a file of YAML, a line for each: "id: answer".
func LoadKnown(file string) (Known, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	k := make(Known)
	if err := yaml.Unmarshal(b, &k); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if k == nil { // the file says "null"
		k = make(Known)
	}
	return k, nil
}

// unknown returns the ids that no case has.
func (k Known) unknown() (ids []string) {
	all, _ := Cases() // there is a test that they can be read
	for id := range k {
		if !slices.ContainsFunc(all, func(c *Case) bool { return c.ID == id }) {
			ids = append(ids, id)
		}
	}
	return ids
}

// News returns what of a report is not as the known differences say, a line for each case, in
// the order of the ids.
func (k Known) News(rep *Report) (news []string) {
	for _, id := range k.unknown() {
		news = append(news, id+": listed as a difference, and there is no such case")
	}
	for i := range rep.Cases {
		if text := k.Check(&rep.Cases[i]); text != "" {
			news = append(news, rep.Cases[i].ID+": "+text)
		}
	}
	slices.Sort(news)
	return news
}

// Check says what of a finding is not as the known differences say, or "".
func (k Known) Check(f *Finding) string {
	answer, listed := k[f.ID]
	switch {
	case f.Verdict == NotPlayed: // which is no outcome that one could know
		return f.Words() + ": " + f.Answer()
	case f.Verdict.fine() && listed:
		return "listed as a difference, and there is none any more"
	case !f.Verdict.fine() && !listed:
		return f.Words() + ": " + f.Answer()
	case !f.Verdict.fine() && answer != f.Answer():
		return fmt.Sprintf("listed with another outcome:\n  was %s\n  is  %s", answer, f.Answer())
	}
	return ""
}

// Update makes k say what the report says, for the cases that were played, and drops ids that no
// case has.
func (k Known) Update(rep *Report) {
	for _, id := range k.unknown() {
		delete(k, id)
	}
	for i := range rep.Cases {
		f := &rep.Cases[i]
		if f.Verdict == NotPlayed {
			continue
		}
		delete(k, f.ID)
		if !f.Verdict.fine() {
			k[f.ID] = f.Answer()
		}
	}
}

// Save writes k to a file that LoadKnown reads.
func (k Known) Save(file string) error {
	var b bytes.Buffer
	b.WriteString("# Known differences, written by nngconform run --known FILE --fix.\n")
	for _, id := range slices.Sorted(maps.Keys(k)) {
		line, err := yaml.Marshal(map[string]string{id: k[id]})
		if err != nil {
			return err
		}
		b.Write(line)
	}
	old, err := os.ReadFile(file)
	if err == nil && bytes.Equal(old, b.Bytes()) {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(file, b.Bytes(), 0o666)
}

// fine reports whether nobody has to look at a case with this verdict.
func (v Verdict) fine() bool { return v == Same || v == Allowed }
