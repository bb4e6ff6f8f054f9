package conformance

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// A Recording is what a reference does with each case.
type Recording struct {
	Name    string `json:"name"`    // as "nng-1.5.2"
	Library string `json:"library"` // what the reference says of itself
	From    string `json:"from"`    // where the library came from
	Date    string `json:"date"`
	Set     string `json:"set"`     // SetVersion
	SetHash string `json:"setHash"` // SetHash
	// Cases by id.
	Cases map[string]*Recorded `json:"cases"`
}

// Recorded is what a reference did with a case.
type Recorded struct {
	// All is the outcome of all deliveries, but of those that Others has.
	All    Outcome              `json:"outcome"`
	Others map[Delivery]Outcome `json:"others,omitempty"`
	// Breaks says what the rule of the case has against it.
	Breaks string `json:"breaks,omitempty"`
	// Received is what came over the wire, in the first delivery, one character for a byte: at
	// most MaxReceived of them, as Steady has them.
	Received string `json:"received,omitempty"`
}

// Outcome is the outcome of a delivery.
func (r *Recorded) Outcome(d Delivery) Outcome {
	if o, ok := r.Others[d]; ok {
		return o
	}
	return r.All
}

//go:embed recordings
var recordings embed.FS

// Recordings returns the names of the recordings that there are.
func Recordings() (names []string) {
	all, _ := fs.Glob(recordings, "recordings/*.json")
	for _, name := range all {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(name, "recordings/"), ".json"))
	}
	return names
}

// LoadRecording returns a recording by its name.
func LoadRecording(name string) (*Recording, error) {
	b, err := recordings.ReadFile("recordings/" + name + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no recording %q; there are %s", name, strings.Join(Recordings(), ", "))
	} else if err != nil {
		return nil, err
	}
	r := new(Recording)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("recording %s: %w", name, err)
	}
	return r, nil
}
