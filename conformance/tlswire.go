package conformance

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A Handshake says how the client sets TLS up in a case of a topic on TLS.
type Handshake struct {
	// Versions are the lowest and the highest that the client offers, as "1.2". What it may
	// be without them is crypto/tls's choice.
	Versions []string `yaml:"versions"`
	// Ciphers are the suites of TLS 1.2 that it offers, by their names.
	Ciphers []string `yaml:"ciphers"`
	// ALPN are the protocols that it offers.
	ALPN []string `yaml:"alpn"`
	// Curves are the groups that it offers, by their numbers.
	Curves []uint16 `yaml:"curves"`
	// Name is the server's name that it sends, and "none" that it sends none.
	Name string `yaml:"name"`
	// Pieces cuts everything that is sent into pieces of so many bytes.
	Pieces int `yaml:"pieces"`
	// Fragments cuts the messages of the handshake into records of so many bytes.
	Fragments int `yaml:"fragments"`
	// Raw: there is no handshake. What the case sends is sent as it is, and what comes back
	// is told as records of TLS.
	Raw bool `yaml:"raw"`
}

// A Record is a record of TLS 1.2 that the client makes itself, encrypted like all others.
type Record struct {
	Type    byte   `yaml:"type"` // 21 alert, 22 handshake, 23 data
	Data    string `yaml:"data"`
	Version uint16 `yaml:"version"` // of the record, 0x0303 if it is 0
	Spoilt  bool   `yaml:"spoilt"`  // a bit of it is flipped on the way
	Held    bool   `yaml:"held"`    // it is written together with what comes next
}

var tlsVersions = map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// The suites that Record can be sent with.
var ownSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}

// suite returns a cipher suite by its name.
func suite(name string) (uint16, error) {
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if s.Name == name {
			return s.ID, nil
		}
	}
	return 0, fmt.Errorf("%q is no cipher suite", name)
}

// apply makes cfg what the handshake says.
func (h *Handshake) apply(cfg *tls.Config) error {
	if h == nil {
		return nil
	}
	if h.Versions != nil {
		if len(h.Versions) != 2 || tlsVersions[h.Versions[0]] == 0 || tlsVersions[h.Versions[1]] == 0 {
			return fmt.Errorf("%q are no versions", h.Versions)
		}
		cfg.MinVersion, cfg.MaxVersion = tlsVersions[h.Versions[0]], tlsVersions[h.Versions[1]]
	}
	for _, name := range h.Ciphers {
		id, err := suite(name)
		if err != nil {
			return err
		}
		cfg.CipherSuites = append(cfg.CipherSuites, id)
	}
	for _, c := range h.Curves {
		cfg.CurvePreferences = append(cfg.CurvePreferences, tls.CurveID(c))
	}
	cfg.NextProtos = h.ALPN
	return nil
}

// handshake sets TLS up on a connection, as the case wants it. That the server refuses is no
// error.
func (s *Server) handshake(ctx context.Context, p *player, c *Case, hostname string) error {
	h := c.TLS
	if h != nil && h.Raw {
		return nil
	}
	cfg := s.TLS.Clone()
	if cfg == nil {
		cfg = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // it is HTTP that is tested
	}
	if cfg.ServerName == "" {
		cfg.ServerName = hostname
	}
	if err := h.apply(cfg); err != nil {
		return err
	}
	t := &tap{Conn: p.raw}
	if h != nil {
		t.pieces, t.fragments = h.Pieces, h.Fragments
		if h.Name != "" { // the certificate has not been made for it
			cfg.ServerName, cfg.InsecureSkipVerify = h.Name, true
			if h.Name == "none" {
				cfg.ServerName = ""
			}
		}
	}
	var keys bytes.Buffer
	own := c.ownRecords()
	if own {
		cfg.MinVersion, cfg.MaxVersion, cfg.CipherSuites = tls.VersionTLS12, tls.VersionTLS12, ownSuites
		cfg.KeyLogWriter = &keys
	}
	conn := tls.Client(t, cfg)
	limited, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	err := conn.HandshakeContext(limited)
	t.done()
	switch {
	case err == nil:
	case ctx.Err() != nil || !c.topic.TLS:
		return err
	case limited.Err() != nil:
		p.refused = string(Silence)
		return nil
	default:
		p.refused = refusal(err)
		return nil
	}
	p.conn = conn
	state := conn.ConnectionState()
	p.agreed = strings.TrimPrefix(tls.VersionName(state.Version), "TLS ")
	if state.NegotiatedProtocol != "" {
		p.agreed += ", " + state.NegotiatedProtocol
	}
	if own {
		p.own, err = newSealer(keys.String(), t.in)
	}
	return err
}

// refusal is the part of an outcome that a failed handshake is: the server has refused it, or
// the client what the server has sent.
func refusal(err error) string {
	if n, ok := remoteAlert(err); ok {
		return fmt.Sprintf("refused(%d)", n)
	}
	var op *net.OpError
	if errors.Is(err, errFIN) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op) && op.Op != "remote error" && op.Op != "local error" {
		return "refused"
	}
	return "malformed(handshake: " + err.Error() + ")"
}

// remoteAlert returns the number of the alert that the server has sent.
func remoteAlert(err error) (int, bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return 0, false
	}
	if v := reflect.ValueOf(op.Err); v.Kind() == reflect.Uint8 { // the type has no name outside crypto/tls
		return int(v.Uint()), true
	}
	return 0, false
}

// A tap is below the TLS of a connection. It keeps what comes in the handshake, and cuts what is
// sent.
type tap struct {
	net.Conn
	pieces, fragments int

	mu       sync.Mutex
	in       []byte
	finished bool
}

func (t *tap) done() {
	t.mu.Lock()
	t.finished, t.fragments = true, 0
	t.mu.Unlock()
}

// errFIN: the connection has ended, and TLS has not said so. crypto/tls makes no difference
// between the two at the end of a record.
var errFIN = errors.New("the connection has ended without close_notify")

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	if err == io.EOF {
		err = errFIN
	}
	t.mu.Lock()
	if !t.finished {
		t.in = append(t.in, b[:n]...)
	}
	t.mu.Unlock()
	return n, err
}

func (t *tap) Write(b []byte) (int, error) {
	t.mu.Lock()
	out := b
	if t.fragments > 0 {
		out = fragment(b, t.fragments)
	}
	pieces := t.pieces
	t.mu.Unlock()
	if pieces <= 0 {
		pieces = len(out)
	}
	for piece := range slices.Chunk(out, max(pieces, 1)) {
		if _, err := t.Conn.Write(piece); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// fragment cuts the first record, if it is of a handshake in the clear, into records of n bytes.
func fragment(b []byte, n int) []byte {
	if len(b) < 9 || b[0] != 22 || b[5] == 0 || b[5] > 20 {
		return b
	}
	length := int(binary.BigEndian.Uint16(b[3:]))
	if len(b) < 5+length || b[5] == 20 {
		return b
	}
	var out []byte
	for part := range slices.Chunk(b[5:5+length], n) {
		out = append(out, b[:3]...)
		out = binary.BigEndian.AppendUint16(out, uint16(len(part)))
		out = append(out, part...)
	}
	return append(out, b[5+length:]...)
}

// A sealer makes records of TLS 1.2 with AES-128-GCM. Once there is one, crypto/tls reads only.
type sealer struct {
	aead cipher.AEAD
	iv   []byte
	seq  uint64
	held []byte // to be written with what comes next
}

// newSealer takes the master secret from a key log, and the random bytes of the server from its
// ServerHello (RFC 5246, section 6.3).
func newSealer(log string, in []byte) (*sealer, error) {
	words := strings.Fields(log)
	if len(words) < 3 || len(in) < 43 || in[0] != 22 || in[5] != 2 {
		return nil, errors.New("the handshake is not one of TLS 1.2")
	}
	client, err := hex.DecodeString(words[1])
	if err != nil {
		return nil, err
	}
	master, err := hex.DecodeString(words[2])
	if err != nil {
		return nil, err
	}
	keys := prf(master, "key expansion", append(slices.Clone(in[11:43]), client...), 40)
	block, err := aes.NewCipher(keys[:16])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &sealer{aead: aead, iv: keys[32:36], seq: 1}, err // the message Finished was 0
}

// prf is RFC 5246, section 5.
func prf(secret []byte, label string, seed []byte, n int) []byte {
	seed = append([]byte(label), seed...)
	sum := func(parts ...[]byte) []byte {
		h := hmac.New(sha256.New, secret)
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	var out []byte
	for a := sum(seed); len(out) < n; a = sum(a) {
		out = append(out, sum(a, seed)...)
	}
	return out[:n]
}

// seal returns a record (RFC 5246, section 6.2.3.3; RFC 5288, section 3).
func (s *sealer) seal(r Record, data []byte) []byte {
	version := r.Version
	if version == 0 {
		version = tls.VersionTLS12
	}
	seq := binary.BigEndian.AppendUint64(nil, s.seq)
	s.seq++
	additional := append(slices.Clone(seq), r.Type, byte(version>>8), byte(version))
	additional = binary.BigEndian.AppendUint16(additional, uint16(len(data)))
	sealed := s.aead.Seal(nil, append(slices.Clone(s.iv), seq...), data, additional)
	if r.Spoilt {
		sealed[0] ^= 1
	}
	out := []byte{r.Type, byte(version >> 8), byte(version)}
	out = binary.BigEndian.AppendUint16(out, uint16(len(seq)+len(sealed)))
	return append(append(out, seq...), sealed...)
}

// write sends data in records of at most 16 KiB.
func (s *sealer) write(w io.Writer, data []byte) {
	for part := range slices.Chunk(data, 16<<10) {
		if s.record(w, Record{Type: 23}, part) != nil {
			return
		}
	}
}

// record sends a record, and what was held before it.
func (s *sealer) record(w io.Writer, r Record, data []byte) error {
	s.held = append(s.held, s.seal(r, data)...)
	if r.Held {
		return nil
	}
	b := s.held
	s.held = nil
	_, err := w.Write(b)
	return err
}

// A ClientHello as a case writes it: hello, hello:VERSION or hello:VERSION:SUITES, in hexadecimal
// digits, and after that <N for its first N bytes, or >N for those from there on.
func helloBytes(what string) ([]byte, error) {
	from, to := 0, 0
	if i := strings.IndexAny(what, "<>"); i > 0 {
		n, err := strconv.Atoi(what[i+1:])
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%s has no number of bytes", what)
		}
		if what[i] == '<' {
			to = n
		} else {
			from = n
		}
		what = what[:i]
	}
	version, suites := []byte{3, 3}, []byte{0xC0, 0x2B, 0xC0, 0x2F, 0xC0, 0x2C, 0xC0, 0x30}
	words := strings.Split(what, ":")
	var err error
	if len(words) > 1 {
		version, err = hex.DecodeString(words[1])
	}
	if len(words) > 2 && err == nil {
		suites, err = hex.DecodeString(words[2])
	}
	if err != nil || len(version) != 2 || len(suites)%2 != 0 || len(words) > 3 {
		return nil, fmt.Errorf("%s is no ClientHello", what)
	}
	b := clientHello(version, suites)
	if to == 0 {
		to = len(b)
	}
	if from > len(b) || to > len(b) {
		return nil, fmt.Errorf("%s has %d bytes", what, len(b))
	}
	return b[from:to], nil
}

// clientHello is a record with a ClientHello (RFC 5246, section 7.4.1.2). A version above 0300
// has extensions: two groups, points as they are, and signatures with SHA-256.
func clientHello(version, suites []byte) []byte {
	body := append(slices.Clone(version), bytes.Repeat([]byte{'r'}, 32)...)
	body = append(body, 0) // no session
	body = binary.BigEndian.AppendUint16(body, uint16(len(suites)))
	body = append(body, suites...)
	body = append(body, 1, 0) // no compression
	if version[1] > 0 {
		extensions := []byte{0, 10, 0, 6, 0, 4, 0, 29, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 6, 0, 4, 4, 3, 4, 1}
		body = binary.BigEndian.AppendUint16(body, uint16(len(extensions)))
		body = append(body, extensions...)
	}
	message := append([]byte{1, 0}, binary.BigEndian.AppendUint16(nil, uint16(len(body)))...)
	message = append(message, body...)
	record := []byte{22, 3, min(version[1], 1)}
	record = binary.BigEndian.AppendUint16(record, uint16(len(message)))
	return append(record, message...)
}

// recordParts says what the records of TLS are that a server has sent in the clear. It reports
// false if they are none.
func recordParts(b []byte) (parts []string, ok bool) {
	for len(b) > 0 {
		if b[0] < 20 || b[0] > 23 || len(b) > 1 && b[1] != 3 {
			return nil, false
		}
		if len(b) < 5 || len(b) < 5+int(binary.BigEndian.Uint16(b[3:])) {
			return append(parts, "unfinished"), true
		}
		kind, data := b[0], b[5:5+int(binary.BigEndian.Uint16(b[3:]))]
		b = b[5+len(data):]
		switch {
		case kind == 21 && len(data) == 2:
			parts = append(parts, fmt.Sprintf("alert(%d)", data[1]))
		case kind == 22 && len(data) > 5 && data[0] == 2:
			parts = append(parts, fmt.Sprintf("server-hello(%02x%02x)", data[4], data[5]))
		}
	}
	return parts, true
}
