package azfunc

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

var checkedApp = map[string][]string{
	"events": {httpIn("api/events/{id?}", "get"), httpOut2},
	"fetch":  {httpIn("api/fetch", "get", "post"), httpOut2},
	"config": {httpIn("api/config/{section}", "get"), httpOut2},
	"files":  {httpIn("files/{*rest}", "get"), httpOut2},
	"tick":   {timerIn("0 * * * * *"), queueOut},
	"work":   {queueIn},
	"submit": {httpIn("api/submit", "post"), httpOut2, queueOut},
}

var checkedRoutes = []Route{
	{"events", "GET", "/api/events"},
	{"events", "GET", "/api/events/{id}"},
	{"fetch", "GET", "/api/fetch"},
	{"fetch", "POST", "/api/fetch"},
	{"config", "GET", "/api/config/features"}, // narrower than its template
	{"files", "GET", "/files/{path...}"},
	{"tick", "POST", "/tick"},
	{"work", "POST", "/work"},
	{"submit", "POST", "/submit"}, // by its envelope
}

func TestCheckRoutes(t *testing.T) {
	app := open(t, plainHost, checkedApp)
	require.Empty(t, app.CheckRoutes(checkedRoutes))

	for i, gone := range checkedRoutes {
		less := slices.Delete(slices.Clone(checkedRoutes), i, i+1)
		found := app.CheckRoutes(less)
		require.Len(t, found, 1, "without %s", gone)
		require.Contains(t, found[0], "the handler has no such route")
		require.Contains(t, found[0], "of function "+gone.Function)
	}
	for _, more := range []Route{
		{"events", "POST", "/api/events"},
		{"events", "GET", "/api/events/{id}/raw"},
		{"events", "GET", "/api/other"},
		{"config", "GET", "/api/config"},
		{"files", "GET", "/other/{path...}"},
		{"config", "GET", "/api/config/{rest...}"},
		{"nobody", "GET", "/api/events"},
		{"tick", "GET", "/tick"},
		{"submit", "POST", "/api/submit"},
	} {
		found := app.CheckRoutes(append(slices.Clone(checkedRoutes), more))
		require.Equal(t, []string{more.String() + ": no function.json leads there"}, found)
	}
}

func TestCheckRoutesFindsWaysToPrivatePaths(t *testing.T) {
	for route, reaches := range map[string]bool{"{*any}": true, "{name}": true, "Tick": true, "{name:guid}": false, "api/{*any}": false, "": false} {
		app := open(t, plainHost, map[string][]string{"open": {httpIn(route, "post"), httpOut2}, "tick": {timerIn("0 * * * * *")}})
		found := app.reachable()
		require.Equal(t, reaches, len(found) == 1, "%s: %v", route, found)
		if reaches {
			require.Contains(t, found[0], "/tick of a timerTrigger can be reached from outside")
			require.Contains(t, app.CheckRoutes(nil), found[0])
		}
	}
}
