package simtenant

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxIDs is the most that getByIds takes. [directoryobject-getbyids]
const maxIDs = 1000

// getByIDs answers what directory objects are; ids that nobody has are absent.
func (t *Tenant) getByIDs(w http.ResponseWriter, r *http.Request) error {
	if err := t.mayReadDirectory(r); err != nil {
		return err
	}
	var ask struct {
		IDs   []string `json:"ids"`
		Types []string `json:"types"`
	}
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		return t.unreadable(r)
	}
	if len(ask.IDs) == 0 || len(ask.IDs) > maxIDs {
		return t.graphRefusal(r, http.StatusBadRequest, "Request_BadRequest", "The number of ids must be between 1 and "+strconv.Itoa(maxIDs)+".")
	}
	w.Header().Set("x-ms-resource-unit", "3")
	return writeJSON(w, map[string]any{
		"@odata.context": origin(r) + r.URL.Path[:strings.Index(r.URL.Path[1:], "/")+1] + "/$metadata#directoryObjects",
		"value":          t.objects(ask.IDs, ask.Types, r.URL.Query().Get("$select")),
	})
}

// objects looks ids up, each once, and keeps the asked properties.
func (t *Tenant) objects(ids, types []string, selected string) []map[string]any {
	out, seen := []map[string]any{}, map[string]bool{}
	for _, id := range ids {
		id = strings.ToLower(id)
		kind, body, ok := t.history.object(id)
		if !ok || seen[id] || len(types) > 0 && !slices.Contains(types, kind) && !slices.Contains(types, "directoryObject") {
			continue
		}
		seen[id] = true
		if selected != "" {
			body = pickProperties(body, strings.Split(selected, ","))
		}
		body["@odata.type"] = "#microsoft.graph." + kind
		out = append(out, body)
	}
	return out
}

func pickProperties(body map[string]any, names []string) map[string]any {
	out := map[string]any{}
	for _, name := range names {
		if v, ok := body[strings.TrimSpace(name)]; ok {
			out[strings.TrimSpace(name)] = v
		}
	}
	return out
}
