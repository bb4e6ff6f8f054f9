package conformance

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"
)

// SetVersion is the version of the set of cases: the first number changes when the meaning of
// a case does, the second one when there are more.
const SetVersion = "0.2.0"

// A Role is what is tested: a server or a client, of HTTP or of WebSocket.
type Role string

// Roles.
const (
	ServerRole          Role = "server"
	ClientRole          Role = "client"
	WebSocketServerRole Role = "websocket-server"
	WebSocketClientRole Role = "websocket-client"
)

// Roles are all of them.
var Roles = []Role{ServerRole, ClientRole, WebSocketServerRole, WebSocketClientRole}

// ofServer reports whether the kit connects to what is tested, and not the other way round.
func (r Role) ofServer() bool { return r == ServerRole || r == WebSocketServerRole }

func (r Role) webSocket() bool { return r == WebSocketServerRole || r == WebSocketClientRole }

// A Level says how binding the rule of a case is, in the words of RFC 2119.
type Level string

// Levels.
const (
	Must   Level = "must"
	Should Level = "should"
	May    Level = "may"
	Check  Level = "check" // no RFC says anything; the reference's behaviour is all there is
)

// A Delivery is a way to send the same bytes.
type Delivery string

// Deliveries.
const (
	One   Delivery = "one"   // everything in one write, the follow-up with it
	Apart Delivery = "apart" // the follow-up is sent once the answer is there
	Split Delivery = "split" // two writes, with a pause between them in the middle of the first request
	Bytes Delivery = "bytes" // byte by byte
)

// Deliveries are all of them, in the order in which they are tried.
var Deliveries = []Delivery{One, Apart, Split, Bytes}

// A Topic is a file of cases.
type Topic struct {
	Name   string `yaml:"topic"`
	About  string `yaml:"about"`
	Role   Role   `yaml:"role"`   // a server's, if there is none
	TLS    bool   `yaml:"tls"`    // the cases are played over https only
	Source string `yaml:"source"` // of the cases that name none
	Level  Level  `yaml:"level"`  // of the cases that name none
	Cases  []Case `yaml:"cases"`
}

// A Case is what the kit sends to a server or a client, and what may come of it.
type Case struct {
	// ID names the case, as "field-lines/space-before-the-colon". It never changes.
	ID    string `yaml:"id"`
	Title string `yaml:"title"`
	// Source is where the rule stands: a section of an RFC, a page of nng's manual, or a
	// function of libnng.
	Source string `yaml:"source"`
	Level  Level  `yaml:"level"`

	// Head has the lines of the request, each of which ends in CR LF, and an empty one
	// follows. Body comes after that, as it is. Raw is used instead of both. In all of them
	// every character is one byte (so "\xe9" is the byte E9, and what is above U+00FF an
	// error), and ${...} is replaced: see expand.
	Head []string `yaml:"head"`
	Body string   `yaml:"body"`
	Raw  string   `yaml:"raw"`
	// Then follows them, when there is more to do than to send.
	Then []Step `yaml:"then"`
	// End says what the kit does to the connection after that. For servers: "half-close", "wait";
	// there is no follow-up then. For clients: "close" and "reset".
	End string `yaml:"end"`
	// Hold: the client does not read on after the first byte, until a step says so.
	Hold bool `yaml:"hold"`
	// TLS says how TLS is set up, in a topic on TLS.
	TLS *Handshake `yaml:"tls"`
	// Length is that of the body of a response 200 that is no echo. One that is shorter has
	// to be seen as cut.
	Length int `yaml:"length"`
	// Deliver restricts the deliveries.
	Deliver []Delivery `yaml:"deliver"`

	// Frames are the lines of a WebSocket case, see wsStep. They follow the handshake, for which
	// Head is used if it is there; else it is as it should be, for Route.
	Frames []string `yaml:"frames"`
	Route  string   `yaml:"route"`

	// Allowed are the outcomes that the rule allows (see Outcome.Matches). A case of level
	// check may have none.
	Allowed []string `yaml:"allowed"`
	// Understood is what the first echo has to tell, if there is one.
	Understood *Understood `yaml:"understood"`
	// Responds is what a response has to have.
	Responds *Responds `yaml:"responds"`
	// Fields of responses that count, beside the status.
	Fields []string `yaml:"fields"`

	// The rest is for cases that test a client. There Head, Body, Raw and Then are the response.

	// Request is what the client is asked for: a method, and a URL or what follows the host in
	// it. Without it that is "GET /".
	Request string `yaml:"request"`
	// Sent is what the client's request has to have, if there is more to it than to be well-formed.
	Sent *Sent `yaml:"sent"`
	// Early: the kit does not wait for the request, but plays the case when the client has connected.
	Early bool `yaml:"early"`
	// Defect names the rows of docs/defects.md which are why a reference breaks the rule.
	Defect []string `yaml:"defect"`
	// Manual names the pages of section 3http of nng's manual whose words the case tries.
	Manual []string `yaml:"manual"`

	topic  *Topic
	script []wsStep
}

// Understood is what a server has to have understood of a request.
type Understood struct {
	// Method and Target are those that were sent, unless they are set.
	Method string              `yaml:"method"`
	Target string              `yaml:"target"`
	Body   string              `yaml:"body"`
	Fields map[string][]string `yaml:"fields"`
}

// A Step is something that the client does in the course of a case. One of its fields is set.
type Step struct {
	Send  string `yaml:"send"`
	Await int    `yaml:"await"` // a response with this status, an interim one too
	// AwaitData awaits bytes, anywhere in what has come.
	AwaitData string `yaml:"await-data"`
	// Do is one of the words of Steps.
	Do string `yaml:"do"`
	// On goes on with another connection: 1 is the first one, and the one after the last is made.
	On int `yaml:"on"`
	// Pause waits, where there is nothing that could be awaited.
	Pause time.Duration `yaml:"pause"`
	// Record sends a record of TLS.
	Record *Record `yaml:"record"`
}

// Topic returns the name of the case's topic.
func (c *Case) Topic() string { return c.topic.Name }

// Role returns what the case tests.
func (c *Case) Role() Role { return c.topic.Role }

//go:embed cases/*.yaml
var files embed.FS

// Cases returns all cases, in the order of their topics and files. They must not be changed.
func Cases() ([]*Case, error) {
	all, err := loaded()
	return slices.Clone(all), err
}

var loaded = sync.OnceValues(func() ([]*Case, error) { return load(files) })

// SetHash identifies the cases: recordings say which they were made with. What a case only tells
// its reader, its defects and the pages of the manual, is not a part of it.
func SetHash() string {
	h := sha256.New()
	names, _ := fs.Glob(files, "cases/*.yaml")
	for _, name := range names {
		b, _ := files.ReadFile(name)
		fmt.Fprintln(h, name)
		for line := range bytes.Lines(b) {
			if !forReaders.Match(line) {
				h.Write(line)
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

var forReaders = regexp.MustCompile(`^ *(defect|manual): \[`)

func load(from fs.FS) ([]*Case, error) {
	names, err := fs.Glob(from, "cases/*.yaml")
	if err != nil {
		return nil, err
	}
	var all []*Case
	seen := make(map[string]bool)
	for _, name := range names {
		b, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, err
		}
		t := new(Topic)
		d := yaml.NewDecoder(bytes.NewReader(b))
		d.KnownFields(true)
		if err := d.Decode(t); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if t.Role = cmp.Or(t.Role, ServerRole); !slices.Contains(Roles, t.Role) {
			return nil, fmt.Errorf("%s: %q is no role", name, t.Role)
		}
		for i := range t.Cases {
			c := &t.Cases[i]
			c.topic = t
			c.ID = t.Name + "/" + c.ID
			c.Source = cmp.Or(c.Source, t.Source)
			c.Level = cmp.Or(c.Level, t.Level)
			if err := c.check(); err != nil {
				return nil, fmt.Errorf("%s: case %s: %w", name, c.ID, err)
			}
			if seen[c.ID] {
				return nil, fmt.Errorf("%s: case %s is there twice", name, c.ID)
			}
			seen[c.ID] = true
			all = append(all, c)
		}
	}
	return all, nil
}

// endsOf has the ends that the cases of a role can have.
var endsOf = map[Role][]string{ // those of WebSocket are in their frames
	ServerRole: {"", "half-close", "wait"}, ClientRole: {"", "close", "reset"}}

var idForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+(-[a-z0-9]+)*$`)

// check says what is wrong with a case.
func (c *Case) check() error {
	switch {
	case !idForm.MatchString(c.ID):
		return errors.New("an id has lower-case letters, digits and hyphens")
	case c.Title == "" || c.Source == "":
		return errors.New("it has no title, or no source")
	case !slices.Contains([]Level{Must, Should, May, Check}, c.Level):
		return fmt.Errorf("%q is no level", c.Level)
	case len(c.Allowed) == 0 && c.Level != Check:
		return errors.New("it allows nothing")
	case c.Role().webSocket():
		var err error
		if c.script, err = parseScript(c.Frames, c.Role().ofServer()); err != nil {
			return err
		}
		if c.Allowed, err = expandPatterns(c.Allowed); err != nil {
			return err
		}
	case (c.Head == nil) == (c.Raw == "") && c.End == "":
		return errors.New("it needs a head, or raw bytes")
	case !slices.Contains(endsOf[c.topic.Role], c.End):
		return fmt.Errorf("%q is no end", c.End)
	}
	for i, p := range c.Allowed {
		if c.Allowed[i] = expandData(p); checkPattern(c.Allowed[i]) != nil {
			return checkPattern(c.Allowed[i])
		}
	}
	for _, d := range c.Deliver {
		if !slices.Contains(Deliveries, d) {
			return fmt.Errorf("%q is no delivery", d)
		}
	}
	if _, err := c.Bytes("host"); err != nil {
		return err
	}
	if err := c.checkSteps(); err != nil {
		return err
	}
	if err := c.checkClient(); err != nil {
		return err
	}
	if r := c.Responds; r != nil && (r.Status < 100 || r.Status > 599) {
		return errors.New("it is not said which response has to have something")
	}
	return c.Understood.expand()
}

// expand replaces ${...} in all that is to be understood.
func (u *Understood) expand() (err error) {
	if u == nil {
		return nil
	}
	one := func(s *string) {
		b, e := expand(*s, "host")
		if e != nil {
			err = e
		}
		*s = toLatin1(b)
	}
	one(&u.Body)
	for _, values := range u.Fields {
		for i := range values {
			one(&values[i])
		}
	}
	return err
}

// Bytes returns what is sent first, to a server with this host and port.
func (c *Case) Bytes(host string) ([]byte, error) {
	if c.Role() == WebSocketClientRole {
		return c.handshakeResponse("accept")
	}
	text := c.Raw
	if c.Head == nil && c.Raw == "" && c.Role() == WebSocketServerRole {
		text = strings.Join(c.handshake(), "\r\n") + "\r\n\r\n"
	}
	if c.Head != nil {
		text = strings.Join(c.Head, "\r\n") + "\r\n\r\n" + c.Body
	}
	return expand(text, host)
}

var placeholder = regexp.MustCompile(`\$\{([^}]*)\}`)

// expand makes bytes of a text. ${host} is the host and port of the server, ${text*n} is text n
// times, and ${hello} a ClientHello (see helloBytes).
func expand(text, host string) ([]byte, error) {
	var err error
	text = placeholder.ReplaceAllStringFunc(text, func(s string) string {
		what := s[2 : len(s)-1]
		if what == "host" {
			return host
		}
		if strings.HasPrefix(what, "hello") && !strings.Contains(what, "*") {
			b, e := helloBytes(what)
			if e != nil {
				err = e
			}
			return toLatin1(b)
		}
		i := strings.LastIndexByte(what, '*')
		if i > 0 {
			if n, e := strconv.Atoi(what[i+1:]); e == nil && n > 0 && n <= 4<<20 {
				return strings.Repeat(what[:i], n)
			}
		}
		err = fmt.Errorf("%s is not known", s)
		return ""
	})
	if err != nil {
		return nil, err
	}
	b, ok := fromLatin1(text)
	if !ok {
		return nil, errors.New(`a character above U+00FF; write bytes, as "\xc3\xa9"`)
	}
	return b, nil
}

// fromLatin1 makes a byte of each character.
func fromLatin1(s string) ([]byte, bool) {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xFF {
			return nil, false
		}
		b = append(b, byte(r))
	}
	return b, true
}

// deliveries returns those in which the case is tried.
func (c *Case) deliveries() []Delivery {
	if c.Deliver != nil {
		return c.Deliver
	}
	if c.stops() { // it starts a server each time
		return []Delivery{One}
	}
	if !c.Role().ofServer() || c.End != "" || c.Then != nil { // there is no follow-up, or it comes later anyhow
		return []Delivery{One, Split, Bytes}
	}
	return Deliveries
}
