package control

import (
	"errors"
	"net/http"
)

// Exit codes of the program.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitRefused     = 3 // not ready, a check or guard says no
	ExitDifferences = 4
	ExitAborted     = 5 // the source still serves
)

// Error is what the API answers when a verb does not end well.
type Error struct {
	Code    string `json:"code"` // failed usage refused differences aborted
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"`

	cause error
}

func (e *Error) Error() string {
	if e.Remedy == "" {
		return e.Message
	}
	return e.Message + "; " + e.Remedy
}

func (e *Error) Unwrap() error { return e.cause }

// Exit is the exit code that the error stands for.
func (e *Error) Exit() int {
	for exit, code := range codes {
		if e.Code == code {
			return exit
		}
	}
	return ExitFailed
}

var codes = map[int]string{ExitFailed: "failed", ExitUsage: "usage", ExitRefused: "refused", ExitDifferences: "differences", ExitAborted: "aborted"}

var statuses = map[string]int{"failed": http.StatusInternalServerError, "usage": http.StatusBadRequest, "refused": http.StatusConflict,
	"differences": http.StatusConflict, "aborted": http.StatusConflict}

// Fail wraps an error with the exit code that a verb ends with.
func Fail(exit int, err error, remedy string) *Error {
	code, ok := codes[exit]
	if !ok {
		code = codes[ExitFailed]
	}
	return &Error{Code: code, Message: err.Error(), Remedy: remedy, cause: err}
}

// asError gives every error a code; one that has none is "failed".
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Fail(ExitFailed, err, "")
}
