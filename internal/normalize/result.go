package normalize

import (
	"strings"

	"aoc/internal/audit"
)

// resultOf reads the words in which the feeds say how an act ended. The
// Management API has Succeeded, PartiallySucceeded and Failed, Exchange has True
// and False, samples have success and failed; Graph adds timeout. What an act
// came to that is pending, or in a word not known here, is unknown.
func resultOf(s string) audit.Result {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "success", "succeeded", "successful", "true", "completed", "complete", "ok", "passed", "allowed", "0":
		return audit.Success
	case "failure", "failed", "fail", "false", "error", "timeout", "timedout", "denied", "unauthorized", "forbidden",
		"interrupted", "clienterror", "clientfailure", "servererror", "exception", "aborted", "notsucceeded":
		return audit.Failure
	case "partiallysucceeded", "partiallysuccess", "partialsuccess", "partial", "partiallyfailed", "partially succeeded",
		"succeededwithwarnings", "completedwitherrors":
		return audit.Partial
	}
	return audit.Unknown
}

// hasFailedName reports whether an operation is the failure of another:
// UserLoginFailed comes with ResultStatus Success, because writing it succeeded.
func hasFailedName(operation string) bool {
	for _, end := range [...]string{"Failed", "Failure", "Denied"} {
		if strings.HasSuffix(operation, end) {
			return true
		}
	}
	return false
}
