package source

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// absent reports whether an error says that there is no such address: 404, or
// as Graph puts it for a path that it does not know, 400.
func absent(err error) bool {
	var answer *APIError
	if !errors.As(err, &answer) {
		return false
	}
	return answer.Status == http.StatusNotFound ||
		answer.Status == http.StatusBadRequest && strings.Contains(answer.Message, "Resource not found for the segment")
}

// gone makes ErrGone of a query that neither endpoint knows.
func gone(err error) error {
	if absent(err) {
		return fmt.Errorf("%w: the query is %w", err, ErrGone)
	}
	return err
}

// advisedError is an answer to a Purview call, with words about these: the
// permissions are others than those of Graph's feeds.
type advisedError struct {
	error
	answer *APIError
}

func (e *advisedError) Unwrap() error { return e.error }

const grantPurview = "Grant the app registration the application permission AuditLogsQuery.Read.All of Microsoft Graph, and admin consent; " +
	"the permissions of single services, such as AuditLogsQuery-Exchange.Read.All, show the records of these services only."

// Advice says in a sentence what people can do, "" where there is nothing to
// be done but wait. It stands before the answer's own.
func (e *advisedError) Advice() string {
	switch {
	case e.answer.API != Graph:
		return e.answer.Advice()
	case e.answer.throttled():
		return "Nothing needs to be done: queries go on when Microsoft allows it. A tenant has some 200 of them a day, and about 10 at once, for all its apps and its administrators' searches together."
	case strings.Contains(e.answer.Message, "DataServiceException"):
		return e.answer.Advice()
	case e.answer.Status == http.StatusForbidden:
		return grantPurview
	case errors.Is(e.error, ErrGone):
		return "Microsoft keeps a query for 30 days; submit it again."
	case absent(e.answer):
		return "This tenant or cloud does not offer audit searches over Microsoft Graph, which exist in the global cloud only; search in the Purview portal, or leave Purview off."
	}
	return e.answer.Advice()
}

// advised adds words to an answer that is no success, and leaves all else.
func advised(err error) error {
	var answer *APIError
	if errors.As(err, &answer) {
		return &advisedError{err, answer}
	}
	return err
}
