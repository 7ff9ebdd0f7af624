package source

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	maxElement = 16 << 20 // bytes of one record; what is longer is cut there
	maxMember  = 64 << 10 // bytes of a member of a page that is not its list
	keepBuffer = 1 << 20  // a buffer that grew further is let go
)

// errStop says that the reader of a list wants no more of it.
var errStop = errors.New("stop")

// splitter takes the elements of a JSON list off a stream, each as the bytes
// that came, in memory for one element whatever its depth. It follows strings
// and brackets and leaves all else to who parses an element, so that a bad
// element costs only itself.
type splitter struct {
	r   *bufio.Reader
	buf []byte
}

func newSplitter(r io.Reader) *splitter {
	return &splitter{r: bufio.NewReaderSize(r, 64<<10)}
}

// list yields the elements of a list that is the whole body, until yield
// returns false. The bytes are the caller's. An element longer than most bytes
// is cut there. The error tells what ended the list early; what follows its end
// is an error too.
func (s *splitter) list(most int, yield func([]byte) bool) error {
	if bom, err := s.r.Peek(3); err == nil && string(bom) == "\xef\xbb\xbf" {
		s.r.Discard(3)
	}
	c, err := s.next()
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("the body is empty, where a list of records was expected")
	case err != nil:
		return err
	case c != '[':
		return fmt.Errorf("the body begins with %q, where a list of records was expected", c)
	}
	if err := s.elements(most, yield); err != nil {
		return err
	}
	return s.end()
}

// page reads a page of Graph, {"value":[…],"@odata.nextLink":"…"}, whose
// members come in any order, and returns the link.
func (s *splitter) page(most int, yield func([]byte) bool) (link string, err error) {
	if c, err := s.next(); err != nil || c != '{' {
		return "", errors.Join(err, errors.New("the body is no page: expected an object"))
	}
	listed := false
	for first := true; ; first = false {
		name, err := s.member(first)
		if err != nil {
			return "", err
		}
		switch name {
		case "":
			if !listed {
				return "", errors.New("the page has no list of records")
			}
			return link, s.end()
		case "value":
			listed = true
			err = s.value(most, yield)
		case "@odata.nextLink":
			link, err = s.text()
		default:
			_, err = s.element(maxMember)
		}
		if err != nil {
			return "", err
		}
	}
}

// member reads up to a member's value and returns its name, "" at the object's
// end. No member of a page has an empty name; one that has is as good as unknown.
func (s *splitter) member(first bool) (string, error) {
	c, err := s.inside()
	if err != nil || c == '}' {
		return "", err
	}
	if !first {
		if c != ',' {
			return "", fmt.Errorf("the page has %q, where a comma was expected", c)
		}
	} else if err := s.r.UnreadByte(); err != nil {
		return "", err
	}
	name, err := s.text()
	if err != nil {
		return "", err
	}
	if c, err = s.inside(); err != nil || c != ':' {
		return "", errors.Join(err, errors.New("the page has a name without a value"))
	}
	if name == "" {
		name = "\x00"
	}
	return name, nil
}

func (s *splitter) value(most int, yield func([]byte) bool) error {
	if c, err := s.inside(); err != nil || c != '[' {
		return errors.Join(err, errors.New("the page's value is no list"))
	}
	return s.elements(most, yield)
}

func (s *splitter) text() (text string, err error) {
	raw, err := s.element(maxMember)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", errors.New("the page has something else, where a string was expected")
	}
	return text, nil
}

// elements yields what comes up to the list's closing bracket.
func (s *splitter) elements(most int, yield func([]byte) bool) error {
	for first := true; ; first = false {
		c, err := s.inside()
		switch {
		case err != nil:
			return err
		case c == ']':
			return nil
		case !first && c != ',':
			return fmt.Errorf("the list has %q, where a comma was expected", c)
		case first:
			if err := s.r.UnreadByte(); err != nil {
				return err
			}
		}
		raw, err := s.element(most)
		if err != nil {
			return err
		}
		if !yield(bytes.Clone(raw)) {
			return errStop
		}
	}
}

// element reads one value and returns its bytes, cut after most; they are
// valid until the next call.
func (s *splitter) element(most int) ([]byte, error) {
	c, err := s.inside()
	if err != nil {
		return nil, err
	}
	if bytes.IndexByte([]byte(",:]}"), c) >= 0 {
		return nil, fmt.Errorf("the list has %q, where a record was expected", c)
	}
	if err := s.r.UnreadByte(); err != nil {
		return nil, err
	}
	if cap(s.buf) > keepBuffer {
		s.buf = nil
	}
	s.buf = s.buf[:0]
	for v := (scan{}); ; {
		if _, err := s.r.Peek(1); err != nil {
			return nil, unexpected(err)
		}
		chunk, _ := s.r.Peek(s.r.Buffered())
		n, done := v.over(chunk)
		s.buf = append(s.buf, chunk[:min(n, most-len(s.buf))]...)
		s.r.Discard(n)
		switch {
		case v.broken:
			return nil, errors.New("the list has a record that is not closed")
		case done:
			return s.buf, nil
		}
	}
}

// scan is where in a value the stream is.
type scan struct {
	depth   int  // of brackets, either kind
	open    byte // the outermost bracket
	text    bool
	escaped bool
	broken  bool // closed by a bracket of the other kind: it was not whole, and the list's end or another record was taken for its own
	scalar  bool // outside of any bracket or string: a number, true, false, null, or nonsense
}

// over goes on through a chunk of a value and returns how much of it belongs
// to the value, and whether the value is complete.
func (v *scan) over(chunk []byte) (n int, done bool) {
	for i, c := range chunk {
		switch {
		case v.text:
			if v.inText(c); !v.text && v.depth == 0 {
				return i + 1, true
			}
		case v.scalar:
			if bytes.IndexByte([]byte(" \t\r\n,]}"), c) >= 0 {
				return i, true
			}
		case c == '"':
			v.text = true
		case c == '{' || c == '[':
			if v.depth++; v.depth == 1 {
				v.open = c
			}
		case c == '}' || c == ']':
			if v.depth--; v.depth == 0 {
				v.broken = (c == '}') != (v.open == '{')
				return i + 1, true
			}
		case v.depth == 0:
			v.scalar = true
		}
	}
	return len(chunk), false
}

func (v *scan) inText(c byte) {
	switch {
	case v.escaped:
		v.escaped = false
	case c == '\\':
		v.escaped = true
	case c == '"':
		v.text = false
	}
}

// next returns the next byte that is no white space.
func (s *splitter) next() (byte, error) {
	for {
		c, err := s.r.ReadByte()
		if err != nil || c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c, err
		}
	}
}

// inside is next where the body must not end.
func (s *splitter) inside() (byte, error) {
	c, err := s.next()
	return c, unexpected(err)
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// end reads to the end of the body, where nothing may come.
func (s *splitter) end() error {
	switch c, err := s.next(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	default:
		return fmt.Errorf("the body goes on with %q after its end", c)
	}
}
