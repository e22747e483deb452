package transform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"unicode/utf8"

	"github.com/chunkline/chunkline/internal/webservice"
)

// readAnswer reads the outputs of each object from an answer with a status of 2xx. Without batches, the JSON values of
// the body are the outputs of the one object. With batches, the body is an array with one output for each object.
func (s *service) readAnswer(r *http.Response, objects int) ([][]byte, error) {
	most := s.most
	if s.batch > 0 {
		most += objects + 1 // brackets and commas
	}
	body, err := readBody(r, most)
	if err != nil {
		return nil, err
	}
	body = bytes.TrimPrefix(body, []byte(webservice.Mark))
	if !utf8.Valid(body) {
		return nil, errors.New("the service's answer is not UTF-8")
	}
	values, err := split(body)
	if err != nil {
		return nil, fmt.Errorf("the service's answer is not JSON: %w", err)
	}
	if r.ContentLength < 0 && r.ProtoMajor == 1 && len(r.TransferEncoding) == 0 && !r.Uncompressed && !endsItself(values) {
		return nil, errors.New("the service's answer may be cut off: it has no Content-Length, and is not one object or array")
	}
	if s.batch == 0 {
		return [][]byte{lines(values)}, nil
	}
	var elements []json.RawMessage
	switch {
	case len(values) != 1 || values[0][0] != '[':
		return nil, fmt.Errorf("the service's answer to a batch of %d objects is not one JSON array", objects)
	case json.Unmarshal(values[0], &elements) != nil || len(elements) != objects:
		return nil, fmt.Errorf("the service's answer to a batch of %d objects has %d elements", objects, len(elements))
	}
	outputs := make([][]byte, objects)
	for i, element := range elements {
		outputs[i] = lines([]json.RawMessage{element})
	}
	return outputs, nil
}

// readBody reads the body of an answer. If the connection breaks, the failure is temporary.
func readBody(r *http.Response, most int) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(most)+1))
	switch {
	case len(body) > most:
		return nil, fmt.Errorf("the service's answer is larger than %d bytes", most)
	case err != nil:
		return nil, &webservice.TemporaryError{Err: fmt.Errorf("the service's answer is cut off after %d bytes: %w", len(body), err)}
	}
	return body, nil
}

// split returns the JSON values of a body, which white space may separate.
func split(body []byte) ([]json.RawMessage, error) {
	if json.Valid(body) { // the usual case, without a copy
		return []json.RawMessage{bytes.TrimSpace(body)}, nil
	}
	var values []json.RawMessage
	for decoder := json.NewDecoder(bytes.NewReader(body)); ; {
		var value json.RawMessage
		switch err := decoder.Decode(&value); {
		case errors.Is(err, io.EOF):
			return values, nil
		case err != nil:
			return nil, err
		}
		values = append(values, value)
	}
}

// endsItself reports whether the end of a body shows that nothing is missing.
func endsItself(values []json.RawMessage) bool {
	return len(values) == 1 && (values[0][0] == '{' || values[0][0] == '[')
}

// lines writes each value on a line of its own, without white space between tokens.
func lines[V ~[]byte](values []V) []byte {
	var text bytes.Buffer
	for _, value := range values {
		_ = json.Compact(&text, value) // it was decoded, so it is valid
		text.WriteByte('\n')
	}
	return text.Bytes()
}
