package conformance

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Opcodes of frames (RFC 6455, section 5.2).
const (
	wsContinuation = 0
	wsText         = 1
	wsBinary       = 2
	wsClose        = 8
	wsPing         = 9
	wsPong         = 10
)

var opcodes = map[string]byte{
	"continuation": wsContinuation, "text": wsText, "binary": wsBinary, "close": wsClose, "ping": wsPing, "pong": wsPong,
}

// opcodeName is the name of an opcode, or its number if it is reserved.
func opcodeName(op byte) string {
	for name, o := range opcodes {
		if o == op {
			return name
		}
	}
	return strconv.Itoa(int(op))
}

// A wsStep is a line of a WebSocket case: something to send, to wait for, or to do with the
// connection. Lines are, for example,
//
//	text "hello"
//	text "hel" more                  the FIN bit is not set
//	continuation "lo"
//	opcode 3 "x"
//	close 1000 "bye"
//	text "x" rsv1                    also rsv2, rsv3
//	text "x" unmasked                masked is what a server must not send
//	text "x" mask 00000000           a masking key
//	text "x" in16                    the length in 16 bits, though fewer would do; also in64
//	text "x" says 5                  another length than that of the payload
//	text "hello" cut 4               only the frame's first bytes
//	bytes "\x81"                     that and nothing else
//	await text                       a message or a control frame
//	half-close
//	reset
type wsStep struct {
	send []byte
	// await is the opcode of what is waited for, when do is "await".
	await byte
	do    string // "send", "await", "half-close", "reset"
	// last is set when the side that sent this sends nothing more that has a meaning.
	last bool
	ping []byte // the payload of a ping that is sent
}

// wsMask is the masking key of frames that do not name one: that of the examples of RFC 6455,
// section 5.7.
var wsMask = []byte{0x37, 0xfa, 0x21, 0x3d}

// wsFrame builds a frame as it should be.
func wsFrame(op byte, payload []byte, masked bool) []byte {
	return wsFrameSpec{op: op, fin: true, payload: payload, masked: masked, mask: wsMask, says: uint64(len(payload))}.bytes()
}

// A wsFrameSpec is a frame that may be wrong.
type wsFrameSpec struct {
	op, rsv byte
	fin     bool
	payload []byte
	masked  bool
	mask    []byte
	says    uint64 // the length
	in      int    // bits to write it in, 0 for what is right
}

func (f wsFrameSpec) bytes() []byte {
	first := f.op | f.rsv
	if f.fin {
		first |= 0x80
	}
	var mask byte
	if f.masked {
		mask = 0x80
	}
	b := []byte{first}
	switch {
	case f.in == 64 || f.in == 0 && f.says > 0xFFFF:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), f.says)
	case f.in == 16 || f.in == 0 && f.says > 125:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(f.says))
	default:
		b = append(b, mask|byte(f.says))
	}
	if !f.masked {
		return append(b, f.payload...)
	}
	b = append(b, f.mask...)
	for i, c := range f.payload {
		b = append(b, c^f.mask[i%4])
	}
	return b
}

// parseScript reads the lines of a case. Frames are masked unless they say otherwise, if it is a
// client that sends them.
func parseScript(lines []string, fromClient bool) (steps []wsStep, err error) {
	for _, line := range lines {
		s, err := parseStep(line, fromClient)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		steps = append(steps, s)
	}
	return steps, nil
}

func parseStep(line string, fromClient bool) (wsStep, error) {
	words, err := scriptWords(line)
	if err != nil {
		return wsStep{}, err
	}
	switch words[0].text {
	case "await":
		if len(words) == 2 {
			if op, ok := opcodes[words[1].text]; ok && op != wsContinuation {
				return wsStep{do: "await", await: op}, nil
			}
		}
		return wsStep{}, errors.New("await needs text, binary, ping, pong or close")
	case "half-close", "reset":
		if len(words) != 1 {
			return wsStep{}, errors.New("there is something after it")
		}
		return wsStep{do: words[0].text, last: true}, nil
	case "bytes":
		if len(words) != 2 || !words[1].quoted {
			return wsStep{}, errors.New("bytes need a text")
		}
		return wsStep{do: "send", send: []byte(words[1].text)}, nil
	}
	return parseFrameStep(words, fromClient)
}

func parseFrameStep(words []scriptWord, fromClient bool) (wsStep, error) {
	f := wsFrameSpec{fin: true, masked: fromClient, mask: wsMask}
	op, ok := opcodes[words[0].text]
	f.op = op
	rest := words[1:]
	if words[0].text == "opcode" && len(rest) > 0 {
		n, err := strconv.ParseUint(rest[0].text, 10, 4)
		if err != nil {
			return wsStep{}, err
		}
		f.op, ok, rest = byte(n), true, rest[1:]
	}
	if !ok {
		return wsStep{}, fmt.Errorf("%q is not known", words[0].text)
	}
	if f.op == wsClose && len(rest) > 0 && !rest[0].quoted {
		if code, err := strconv.ParseUint(rest[0].text, 10, 16); err == nil {
			f.payload = binary.BigEndian.AppendUint16(nil, uint16(code))
			rest = rest[1:]
		}
	}
	if len(rest) > 0 && rest[0].quoted {
		f.payload = append(f.payload, rest[0].text...)
		rest = rest[1:]
	}
	f.says = uint64(len(f.payload))
	cut := -1
	for len(rest) > 0 {
		word := rest[0].text
		rest = rest[1:]
		argument := ""
		if slices.Contains([]string{"mask", "says", "cut"}, word) {
			if len(rest) == 0 {
				return wsStep{}, fmt.Errorf("%s needs a value", word)
			}
			argument, rest = rest[0].text, rest[1:]
		}
		var err error
		switch word {
		case "more":
			f.fin = false
		case "rsv1", "rsv2", "rsv3":
			f.rsv |= 0x80 >> (word[3] - '0')
		case "masked":
			f.masked = true
		case "unmasked":
			f.masked = false
		case "in16":
			f.in = 16
		case "in64":
			f.in = 64
		case "mask":
			if f.mask, err = hex.DecodeString(argument); err == nil && len(f.mask) != 4 {
				err = errors.New("a masking key has 4 bytes")
			}
		case "says":
			f.says, err = strconv.ParseUint(argument, 0, 64)
		case "cut":
			cut, err = strconv.Atoi(argument)
		default:
			err = fmt.Errorf("%q is not known", word)
		}
		if err != nil {
			return wsStep{}, err
		}
	}
	s := wsStep{do: "send", send: f.bytes(), last: f.op == wsClose}
	if f.op == wsPing {
		s.ping = append([]byte{}, f.payload...)
	}
	if cut >= 0 {
		s.send = s.send[:min(cut, len(s.send))]
	}
	return s, nil
}

// A scriptWord is a word of a line, or a text in quotes.
type scriptWord struct {
	text   string
	quoted bool
}

// scriptWords cuts a line. In quotes, \xNN is a byte, and \" and \\ are what they are elsewhere;
// ${...} is replaced (see expand).
func scriptWords(line string) (words []scriptWord, err error) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " ") {
		if line[0] != '"' {
			word, rest, _ := strings.Cut(line, " ")
			words, line = append(words, scriptWord{text: word}), rest
			continue
		}
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return nil, err
		}
		line = line[len(quoted):]
		text, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, err
		}
		if text, err = expandBytes(text); err != nil {
			return nil, err
		}
		words = append(words, scriptWord{text, true})
	}
	if len(words) == 0 {
		return nil, errors.New("the line is empty")
	}
	return words, nil
}

// expandBytes is expand for a text whose bytes stand for themselves.
func expandBytes(text string) (string, error) {
	b, err := expand(toLatin1([]byte(text)), "")
	return string(b), err
}

// expandPatterns replaces ${...} in outcomes, and writes the payloads of messages as outcomes have
// them.
func expandPatterns(patterns []string) (all []string, err error) {
	for _, p := range patterns {
		b, err := expand(p, "")
		if err != nil {
			return nil, err
		}
		parts := Outcome(toLatin1(b)).parts()
		for i, part := range parts {
			name, payload, ok := strings.Cut(part, "(")
			if !ok || payload[0] != '"' {
				continue
			}
			text, err := strconv.Unquote(strings.TrimSuffix(payload, ")"))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", part, err)
			}
			parts[i] = name + "(" + printableQuoted(toLatin1([]byte(text))) + ")"
		}
		all = append(all, strings.Join(parts, ", "))
	}
	return all, nil
}
