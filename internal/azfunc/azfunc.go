// Package azfunc knows how the Azure Functions host talks to a custom handler,
// from both ends. For the handler it reads the envelopes of timers and queues
// ([Handler]), the query strings as the host leaves them ([Query]) and the
// death of the host ([WaitParent]). For `aoc local` and the tests it is a small
// Functions host ([Host]) that reads the same host.json and function.json files
// as the real one and keeps the real one's quirks: a host that is kinder than
// the real one proves nothing.
//
// The package must not know what the functions do, nor which there are.
//
// The facts of the wire were seen on the host itself, version 4.1037, running a
// custom handler, and read in its source
// (https://github.com/Azure/azure-functions-host); Microsoft's article is
// https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers.
package azfunc

// HostVersion is the version that the small host gives itself in the headers
// X-Azure-Functions-HostVersion and User-Agent: that of the real host whose
// behaviour it repeats.
const HostVersion = "4.1037.0.0"

// Exit codes of a handler, as the host reads them. A handler that exits 0 is
// never started again, so a handler never exits 0 while the host wants it.
const (
	// ExitFailed is any failure: the host starts the handler again, and stops
	// itself at the third exit without 30 quiet minutes between them.
	ExitFailed = 1
	// ExitRestart asks for a restart in peace: it is not counted.
	ExitRestart = 200
)

const (
	headerInvocation = "X-Azure-Functions-InvocationId"
	headerVersion    = "X-Azure-Functions-HostVersion"

	jsonType = "application/json; charset=utf-8"
)
