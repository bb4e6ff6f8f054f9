package nethttp_test

import (
	"slices"
	"strings"

	"github.com/gonng/nnghttp/conformance"
)

// differences is the table of TestDifferential: the requests of the conformance kit, and what no
// case of it can say.
var differences = slices.Concat(kit(), handled, replies())

// Reasons that several rows have.
const (
	nngSilent      = "nng closes without a word what it cannot parse (P10)"
	nngVersion     = "nng takes the rest of the line for the version and looks at that first (P4)"
	nngEmptyLine   = "RFC 9112, 2.2: empty lines before a request are skipped; without our patch nng answers them with a 400 that does not close (P8)"
	nngBytes       = "nng does not take tabs, and bytes above 127 (P9)"
	nngLong        = "a line of a head has at most 64 KiB, without our patch all of a burst 8 (P6)"
	nngPath        = "a target that is no path, authority or * has no handler (P22)"
	nngNoHost      = "nng itself asks for a Host; without our patch it closes only behind a body (P1)"
	nngEOF         = "nng closes a connection when it reads its end, so there is no reply (CL18)"
	nngJoins       = `nng joins fields of one name with ", "`
	folding        = "obsolete folding is refused, as RFC 9112, 5.2 allows"
	ambiguous      = "a length beside a coding is refused, as RFC 9112, 6.1 allows"
	lastCoding     = "RFC 9112, 6.3: chunked is the last coding, and there once"
	oldCoding      = "RFC 9112, 6.1: the framing of a coding in HTTP/1.0 is faulty"
	oneLength      = "RFC 9112, 6.3 allows to refuse two lengths, also equal ones"
	oldKeepAlive   = "nng closes all connections but those of HTTP/1.1 (P21)"
	oldInformation = "RFC 9110, 15.2: no 1xx to a client of HTTP/1.0"
	badLength      = "net/http drops a bad Content-Length in one copy of the header and not in the other"
	closeAnyCase   = `RFC 9110, 7.6.1: Connection is a list without case; net/http asks for "close" alone`
	strictChunks   = "RFC 9112, 7.1: the extension of a chunk has no control characters, and a trailer is a field"
	oneHost        = "RFC 9112, 3.2: the target and the Host field name one host; net/http takes the target's, and what has looked at the field before has let another host pass"
	noHost         = "RFC 9110, 4.2.1: an http URI has a host, which is an address in brackets or a name, with a port of digits; RFC 9112, 3.2: what is none is refused"
	noUser         = "RFC 9110, 4.2.4: a user before the host hides who is asked"
	noNUL          = "a NUL ends a path for all that is written in C, and nng would find another handler; net/http leaves it to the handler"
	noAuthority    = "RFC 9112, 3.2.3: the target of CONNECT is a host and a port"
	maxBytes       = "MaxBytesReader tells net/http's own ResponseWriter, by an unexported method; we drain the byte"
	drained        = "we know what is left of the body; net/http does not look behind this reader and closes"
)

// kitDifferences are the cases of the conformance kit that this package and net/http do not serve
// alike, or did not once.
var kitDifferences = map[string]difference{
	"request-line/pri": {
		ours: "505 closed", std: "200 closed", why: "nng refuses HTTP/2; net/http leaves PRI to the handler",
	},
	"request-line/space-before-the-method":          {ours: "505 closed", std: "400 closed", why: nngVersion, patch: "p4"},
	"request-line/method-only":                      {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"request-line/one-word":                         {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"request-line/http-0-9":                         {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"request-line/two-spaces":                       {ours: "505 closed", std: "400 closed", why: nngVersion, patch: "p4"},
	"request-line/two-spaces-after-the-target":      {ours: "505 closed", std: "400 closed", why: nngVersion, patch: "p4"},
	"request-line/tab-in-the-line":                  {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"request-line/tab-for-the-second-space":         {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"request-line/four-words":                       {ours: "505 closed", std: "400 closed", why: nngVersion, patch: "p4"},
	"request-line/http-1-0-keep-alive":              {ours: "200 closed", std: "200 probe", why: oldKeepAlive},
	"request-line/http-1-2":                         {ours: "200 closed", std: "200 probe", why: oldKeepAlive},
	"request-line/http-1-9":                         {ours: "200 closed", std: "200 probe", why: oldKeepAlive},
	"request-line/http-01-1":                        {ours: "505 closed", std: "400 closed", why: nngVersion, patch: "p4"},
	"request-line/http-1-without-minor":             {ours: "505 closed", std: "400 closed", why: nngVersion, patch: "p4"},
	"request-line/lower-case-version":               {ours: "505 closed", std: "400 closed", why: nngVersion, patch: "p4"},
	"request-line/space-in-the-version":             {ours: "505 closed", std: "400 closed", why: nngVersion, patch: "p4"},
	"request-line/ftp-1-1":                          {ours: "505 closed", std: "400 closed", why: nngVersion, patch: "p4"},
	"request-line/empty-line-before-a-request":      {ours: "400 200 probe", std: "400 closed", why: nngEmptyLine, patch: "p8", patched: "200 probe"},
	"request-line/empty-line-after-a-body":          {ours: "200 400 probe", std: "200 probe", why: nngEmptyLine, patch: "p8"},
	"request-line/two-empty-lines-after-a-body":     {ours: "200 400 400 probe", std: "200 probe", why: nngEmptyLine, patch: "p8"},
	"request-line/empty-line-after-a-get":           {ours: "200 400 probe", std: "200 400 closed", why: nngEmptyLine, patch: "p8", patched: "200 probe"},
	"request-line/bare-carriage-return-in-the-line": {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"request-line/nul-in-the-line":                  {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"request-line/line-of-9000-bytes":               {ours: "closed", std: "200 probe", why: nngLong, patch: "p6"},
	"request-line/line-of-100-kb":                   {ours: "closed", std: "200 probe", why: nngLong, patch: "p6", patched: "414 closed"},
	"request-line/closed-in-the-line":               {ours: "closed", std: "400 closed", why: "the client has gone: nobody reads a 400"},
	"request-line/closed-after-the-line":            {ours: "closed", std: "400 closed", why: "the client has gone: nobody reads a 400"},
	"request-line/closed-in-a-field":                {ours: "closed", std: "400 closed", why: "the client has gone: nobody reads a 400"},
	"request-line/closed-before-the-empty-line":     {ours: "closed", std: "400 closed", why: "the client has gone: nobody reads a 400"},

	"targets/asterisk-escaped":     {ours: "404 probe", std: "400 closed", why: nngPath, patch: "p22"},
	"targets/nul-escaped":          {ours: "400 closed", std: "200 probe", why: noNUL},
	"targets/nul-escaped-absolute": {ours: "400 closed", std: "200 probe", why: noNUL},
	"targets/byte-above-127": {
		ours: "closed", std: "200 probe", why: "RFC 3986: such bytes are not in a URI; nng refuses them", patch: "p10", patched: "400 closed",
	},
	"targets/control-in-the-target":            {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"targets/relative-path":                    {ours: "404 probe", std: "400 closed", why: nngPath, patch: "p1-p20", patched: "404 closed"},
	"targets/absolute-with-another-port":       {ours: "400 closed", std: "200 probe", why: oneHost},
	"targets/absolute-with-another-host":       {ours: "400 closed", std: "200 probe", why: oneHost},
	"targets/absolute-with-another-host-https": {ours: "400 closed", std: "200 probe", why: oneHost},
	"targets/absolute-empty-host":              {ours: "400 closed", std: "200 probe", why: oneHost},
	"targets/absolute-ftp":                     {ours: "404 probe", std: "200 probe", why: nngPath, patch: "p1-p20", patched: "404 closed"},
	"targets/absolute-without-host":            {ours: "400 closed", std: "200 probe", why: noHost},
	"targets/absolute-with-a-port-only":        {ours: "400 closed", std: "200 probe", why: noHost},
	"targets/absolute-with-user":               {ours: "400 closed", std: "200 probe", why: noUser},
	"targets/absolute-without-host-field":      {ours: "400 probe", std: "400 closed", why: nngNoHost, patch: "p1-p20"},
	"targets/absolute-http-1-0": {
		ours: "400 closed", std: "200 closed", why: "nng knows only of the Host field; our patch gives it the target's host", patch: "p4",
	},
	"targets/absolute-with-space":               {ours: "505 closed", std: "400 closed", why: nngVersion, patch: "p4"},
	"targets/scheme-without-slashes":            {ours: "404 probe", std: "200 probe", why: nngPath, patch: "p1-p20", patched: "404 closed"},
	"targets/opaque":                            {ours: "404 probe", std: "200 probe", why: nngPath, patch: "p1-p20", patched: "404 closed"},
	"targets/options-asterisk":                  {ours: "404 probe", std: "200 probe", why: nngPath, patch: "p22"},
	"targets/options-asterisk-with-a-body":      {ours: "404 closed", std: "200 probe", why: nngPath, patch: "p22"},
	"targets/get-asterisk":                      {ours: "404 probe", std: "200 probe", why: nngPath, patch: "p1-p20", patched: "404 closed"},
	"targets/connect-authority":                 {ours: "404 probe", std: "200 probe", why: nngPath, patch: "p22"},
	"targets/connect-authority-no-port-in-host": {ours: "404 probe", std: "200 probe", why: nngPath, patch: "p22"},
	"targets/connect-another-host":              {ours: "404 probe", std: "200 probe", why: oneHost, patch: "p22", patched: "400 closed"},
	"targets/connect-authority-without-host":    {ours: "400 probe", std: "200 probe", why: nngNoHost, patch: "p1-p20", patched: "400 closed"},
	"targets/connect-path-without-host":         {ours: "400 probe", std: "200 probe", why: nngNoHost, patch: "p1-p20", patched: "400 closed"},
	"targets/connect-name-only":                 {ours: "404 probe", std: "200 probe", why: nngPath, patch: "p22"},
	"targets/connect-absolute":                  {ours: "400 closed", std: "200 probe", why: noAuthority},
	"targets/get-authority":                     {ours: "404 probe", std: "200 probe", why: nngPath, patch: "p1-p20", patched: "404 closed"},

	"hosts/no-host": {ours: "400 probe", std: "400 closed", why: nngNoHost, patch: "p1-p20"},
	"hosts/no-host-with-a-body": {
		ours: "400 200 probe", std: "400 closed", why: "nng leaves the body on the connection (P1)", patch: "p1",
	},
	"hosts/host-with-odd-port":               {ours: "400 closed", std: "200 probe", why: noHost},
	"hosts/host-with-two-ports":              {ours: "400 closed", std: "200 probe", why: noHost},
	"hosts/host-with-a-port-only":            {ours: "400 closed", std: "200 probe", why: noHost},
	"hosts/host-ipv6-not-closed":             {ours: "400 closed", std: "200 probe", why: noHost},
	"hosts/host-ipv6-and-more":               {ours: "400 closed", std: "200 probe", why: noHost},
	"hosts/host-ipv6-without-brackets":       {ours: "400 closed", std: "200 probe", why: noHost},
	"hosts/host-with-no-address-in-brackets": {ours: "400 closed", std: "200 probe", why: noHost},
	"hosts/host-with-nul":                    {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"hosts/host-with-tab":                    {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"hosts/host-with-bytes-above-127":        {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},

	"field-lines/tab-in-a-value":                             {ours: "closed", std: "200 probe", why: nngBytes, patch: "p9"},
	"field-lines/tabs-around-a-value":                        {ours: "closed", std: "200 probe", why: nngBytes, patch: "p9"},
	"field-lines/byte-above-127-in-a-value":                  {ours: "closed", std: "200 probe", why: nngBytes, patch: "p9"},
	"field-lines/utf-8-in-a-value":                           {ours: "closed", std: "200 probe", why: nngBytes, patch: "p9"},
	"field-lines/nul-in-a-value":                             {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"field-lines/control-in-a-value":                         {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"field-lines/bare-carriage-return-in-a-value":            {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"field-lines/bare-carriage-return-at-the-end-of-a-value": {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"field-lines/bare-carriage-return-hides-a-field":         {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"field-lines/tab-before-the-colon":                       {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"field-lines/no-colon":                                   {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"field-lines/no-colon-in-the-first-field":                {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"field-lines/folded-line":                                {ours: "closed", std: "200 probe", why: folding, patch: "p10", patched: "400 closed"},
	"field-lines/folded-line-with-a-tab":                     {ours: "closed", std: "200 probe", why: folding, patch: "p10", patched: "400 closed"},
	"field-lines/folded-line-with-a-colon":                   {ours: "400 closed", std: "200 probe", why: folding},
	"field-lines/folded-content-length":                      {ours: "400 closed", std: "200 probe", why: folding},
	"field-lines/folded-value-of-content-length":             {ours: "closed", std: "200 probe", why: folding, patch: "p10", patched: "400 closed"},
	"field-lines/name-with-a-byte-above-127":                 {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"field-lines/name-with-nul":                              {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"field-lines/name-with-a-control":                        {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"field-lines/name-of-one-name-twice":                     {ours: "200 probe", std: "200 probe", why: nngJoins, patch: "p17"},
	"field-lines/name-twice-in-two-cases":                    {ours: "200 probe", std: "200 probe", why: nngJoins, patch: "p17"},
	"field-lines/two-cookies":                                {ours: "200 probe", std: "200 probe", why: nngJoins, patch: "p17"},
	"field-lines/two-cookies-one-empty":                      {ours: "200 probe", std: "200 probe", why: nngJoins, patch: "p17"},
	"field-lines/value-of-9000-bytes":                        {ours: "closed", std: "200 probe", why: nngLong, patch: "p6"},
	"field-lines/many-fields-20-kb":                          {ours: "closed", std: "200 probe", why: nngLong, patch: "p6"},
	"field-lines/20-requests-of-500-bytes-at-once": {
		ours: strings.Repeat("200 ", 16) + "closed", std: strings.Repeat("200 ", 20) + "probe", why: nngLong, patch: "p6",
	},

	"field-lines/folded-content-length-without-a-handler": {ours: "400 closed", std: "200 200 probe", why: folding},
	"framing/content-length-with-a-tab":                   {ours: "closed", std: "200 probe", why: nngBytes, patch: "p9"},
	"framing/content-length-with-a-vertical-tab":          {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"framing/content-length-of-another-script":            {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"framing/two-content-lengths-equal":                   {ours: "400 closed", std: "200 probe", why: oneLength},
	"framing/two-content-lengths-in-two-cases":            {ours: "400 closed", std: "200 probe", why: oneLength},
	"framing/body-cut":                                    {ours: "closed", std: "200 closed", why: nngEOF},
	"framing/body-cut-unread":                             {ours: "closed", std: "200 closed", why: nngEOF},
	"framing/chunked-http-1-0":                            {ours: "400 closed", std: "200 closed", why: oldCoding},
	"framing/chunked-http-1-0-with-content-length":        {ours: "400 closed", std: "200 closed", why: oldCoding},
	"framing/chunked-and-content-length":                  {ours: "400 closed", std: "200 probe", why: ambiguous},
	"framing/content-length-and-chunked":                  {ours: "400 closed", std: "200 probe", why: ambiguous},
	"framing/transfer-encoding-identity-content-length":   {ours: "400 closed", std: "501 closed", why: ambiguous},
	"framing/transfer-encoding-empty":                     {ours: "400 closed", std: "501 closed", why: lastCoding},
	"framing/transfer-encoding-chunked-gzip":              {ours: "400 closed", std: "501 closed", why: lastCoding},
	"framing/transfer-encoding-chunked-chunked":           {ours: "400 closed", std: "501 closed", why: lastCoding},
	"framing/transfer-encoding-chunked-identity":          {ours: "400 closed", std: "501 closed", why: lastCoding},
	"framing/two-transfer-encodings":                      {ours: "400 closed", std: "501 closed", why: lastCoding},
	"framing/transfer-encoding-with-a-vertical-tab":       {ours: "closed", std: "400 closed", why: nngSilent, patch: "p10"},
	"framing/transfer-encoding-with-a-tab":                {ours: "closed", std: "200 probe", why: nngBytes, patch: "p9"},
	"framing/transfer-encoding-without-body":              {ours: "closed", std: "200 closed", why: nngEOF},

	"chunks/control-character-in-a-chunk-extension":        {ours: "200 closed", std: "200 probe", why: strictChunks},
	"chunks/control-character-in-a-chunk-extension-unread": {ours: "200 closed", std: "200 probe", why: strictChunks},
	"chunks/chunk-size-2-to-the-64-minus-1":                {ours: "closed", std: "200 closed", why: nngEOF},
	"chunks/chunk-size-2-to-the-63":                        {ours: "closed", std: "200 closed", why: nngEOF},
	"chunks/chunk-size-2-to-the-62":                        {ours: "closed", std: "200 closed", why: nngEOF},
	"chunks/bare-line-feed-at-the-end": {
		ours: "200 closed", std: "200 probe", why: "we read no byte behind the body, and no end of it is shorter than 0 CR LF CR LF",
	},
	"chunks/chunks-cut-in-a-size":                  {ours: "closed", std: "200 closed", why: nngEOF},
	"chunks/chunks-cut-in-data":                    {ours: "closed", std: "200 closed", why: nngEOF},
	"chunks/chunks-cut-after-data":                 {ours: "closed", std: "200 closed", why: nngEOF},
	"chunks/chunks-cut-after-the-last":             {ours: "closed", std: "200 closed", why: nngEOF},
	"chunks/chunks-cut-in-a-trailer":               {ours: "closed", std: "200 closed", why: nngEOF},
	"chunks/trailer-with-a-space-before-the-colon": {ours: "200 closed", std: "200 probe", why: strictChunks},
	"chunks/trailer-folded":                        {ours: "200 closed", std: "200 probe", why: strictChunks},

	"connections/two-connections":                          {ours: "200 closed", std: "200 closed", why: nngJoins, patch: "p17"},
	"connections/connection-closed":                        {ours: "200 closed", std: "200 200 probe", why: "nng looks for the letters close (P19)"},
	"connections/connection-keep-alive-and-close-http-1-0": {ours: "200 closed", std: "200 probe", why: oldKeepAlive},

	"expectations/two-expects": {
		ours: "100 200 probe", std: "417 closed", why: "RFC 9110, 5.3: two fields are one list; net/http looks at the first alone",
	},

	"bodies/body-of-256-kib-unread": {
		ours: "200 probe", std: "200 closed", why: "256 KiB are within our limit, and beyond that of net/http",
	},
	"expectations/expect-100-continue-refused": {ours: "100 closed", std: "100 400 closed", why: nngEOF},

	"responses/small-body-and-a-byte":     {ours: "413 probe", std: "413 closed", why: maxBytes},
	"responses/small-body-with-a-request": {ours: "413 probe", std: "413 closed", why: maxBytes},
}

// kitTopics are the topics of the conformance kit that are nothing but requests.
var kitTopics = []string{"request-line", "targets", "hosts", "field-lines", "framing", "chunks", "connections",
	"expectations", "bodies", "responses"}

// kit has a row for each case of the conformance kit that is sent at once.
func kit() (all []difference) {
	cases, err := conformance.Cases()
	if err != nil {
		panic(err) // they are embedded, and the kit has tests
	}
	for _, c := range cases {
		if !slices.Contains(kitTopics, c.Topic()) || c.Then != nil {
			continue
		}
		request, err := c.Bytes("x")
		if err != nil {
			panic(err)
		}
		d := kitDifferences[c.ID]
		d.name, d.topic, d.request, d.half = c.ID, c.Topic(), string(request), c.End == "half-close"
		all = append(all, d)
	}
	return all
}

// handled are requests to handlers that the conformance kit does not know: they read a body in their own way.
var handled = []difference{
	{name: "chunks read in part", request: chunked("3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", "Do: part")},
	{name: "Expect 100-continue, read in part", request: post("12345", "Content-Length: 5", "Expect: 100-continue", "Do: part"),
		ours: "100 200 probe", std: "100 200 closed", why: drained},
	{name: "Expect 100-continue, read behind write", request: post("12345", "Content-Length: 5", "Expect: 100-continue", "Do: read behind write")},
	{name: "Expect 100-continue, read behind flush", request: post("12345", "Content-Length: 5", "Expect: 100-continue", "Do: read behind flush")},
	{name: "Expect 100-continue, full duplex", request: post("12345", "Content-Length: 5", "Expect: 100-continue", "Do: full duplex"),
		ours: "200 probe", std: "200 closed", why: drained},
	{name: "Expect 100-continue, 100 by hand", request: post("12345", "Content-Length: 5", "Expect: 100-continue", "Do: 100")},
	{name: "Expect 100-continue, body closed", request: post("12345", "Content-Length: 5", "Expect: 100-continue", "Do: close body")},
	{name: "body read in part", request: post("12345", "Content-Length: 5", "Do: part")},
	{name: "body of 1 MiB copied", request: post(strings.Repeat("a", 1<<20), "Content-Length: 1048576", "Do: copy body with length")},
	{name: "body read in part, 1 MiB", request: post(strings.Repeat("a", 1<<20), "Content-Length: 1048576", "Do: part")},
	{name: "body copied", request: post("12345", "Content-Length: 5", "Do: copy body")},
	{name: "body read behind write", request: post("12345", "Content-Length: 5", "Do: read behind write")},
	{name: "body read behind flush", request: post("12345", "Content-Length: 5", "Do: read behind flush")},
	{name: "chunks read behind flush", request: chunked("5\r\n12345\r\n0\r\n\r\n", "Do: read behind flush")},
	{name: "body read behind flush, full duplex", request: post("12345", "Content-Length: 5", "Do: full duplex")},
	{name: "body unread, full duplex", request: post("12345", "Content-Length: 5", "Do: full duplex, unread"),
		ours: "200 probe", std: "200 closed", why: drained},
	{name: "body of 1 MiB unread, full duplex", request: post(strings.Repeat("a", 1<<20), "Content-Length: 1048576", "Do: full duplex, unread")},
	{name: "body closed", request: post("12345", "Content-Length: 5", "Do: close body")},
	{name: "no body closed", request: req("GET", "/", "", "Do: close body")},
	{name: "chunked body closed", request: chunked("5\r\n12345\r\n0\r\n\r\n", "Do: close body")},
	{name: "body read twice", request: post("12345", "Content-Length: 5", "Do: read twice")},
	{name: "body read with no room", request: post("12345", "Content-Length: 5", "Do: read nothing")},
	{name: "MaxBytesReader", request: post("12345", "Content-Length: 5", "Do: max bytes"),
		ours: "200 probe", std: "200 closed", why: maxBytes},
	{name: "MaxBytesReader, fits", request: post("1234", "Content-Length: 4", "Do: max bytes")},
	{name: "form", request: post("a=b&c=d", "Content-Length: 7", "Content-Type: application/x-www-form-urlencoded", "Do: form")},
	{name: "abort with a body", request: post("12345", "Content-Length: 5", "Do: abort")},
	{name: "204 with a body", request: post("12345", "Content-Length: 5", "Do: 204")},
	{name: "hijack with a body", request: post("12345\n", "Content-Length: 6", "Do: hijack")},
	{name: "ServeContent range", request: do("ServeContent", "Range: bytes=10-19")},
	{name: "ServeContent range behind the end", request: do("ServeContent", "Range: bytes=9999-")},
	{name: "ServeContent not modified", request: do("ServeContent", "If-Modified-Since: Thu, 01 Jan 1970 00:00:01 GMT")},
}

// replies asks for each of the handlers: with GET, with HEAD, and with HTTP/1.0.
func replies() (all []difference) {
	exceptions := map[string]difference{
		"GET Close":                {ours: "200 closed", std: "200 probe", why: closeAnyCase},
		"GET close in a list":      {ours: "200 closed", std: "200 probe", why: closeAnyCase},
		"HEAD Close":               {ours: "200 closed", std: "200 probe", why: closeAnyCase},
		"HEAD close in a list":     {ours: "200 closed", std: "200 probe", why: closeAnyCase},
		"GET bad length":           {ours: "200 probe", std: "200 probe", why: badLength},
		"GET negative length":      {ours: "200 probe", std: "200 probe", why: badLength},
		"HEAD bad length":          {ours: "200 probe", std: "garbage closed", why: badLength},
		"HEAD negative length":     {ours: "200 probe", std: "garbage closed", why: badLength},
		"HTTP/1.0 bad length":      {ours: "200 closed", std: "garbage closed", why: badLength},
		"HTTP/1.0 negative length": {ours: "200 closed", std: "garbage closed", why: badLength},
		"HTTP/1.0 100":             {ours: "200 closed", std: "100 200 closed", why: oldInformation},
		"HTTP/1.0 102 length":      {ours: "200 closed", std: "102 200 closed", why: oldInformation},
		"HTTP/1.0 103":             {ours: "200 closed", std: "103 103 200 closed", why: oldInformation},
		"HTTP/1.0 1xx only":        {ours: "200 closed", std: "103 200 closed", why: oldInformation},
	}
	for name := range handlers {
		for kind, request := range map[string]string{
			"GET":      do(name),
			"HEAD":     req("HEAD", "/", "", "Do: "+name),
			"HTTP/1.0": rawReq("GET / HTTP/1.0", "", "Host: x", "Do: "+name),
		} {
			d := exceptions[kind+" "+name]
			d.name, d.request = "reply: "+kind+" "+name, request
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b difference) int { return strings.Compare(a.name, b.name) })
	return all
}
