package simtenant

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
)

func memberRoutes(version string) []route {
	op := func(path, kind string) route {
		return route{"POST " + version + path + "/{id}/getMemberObjects", "getMemberObjects", apiGraph, memberObjectsOf(version, kind)}
	}
	return []route{op("/directoryObjects", ""), op("/users", "user"), op("/servicePrincipals", "servicePrincipal")}
}

// memberObjectsOf answers what groups and directory roles an object is in. An empty
// kind is any. [directoryobject-getmemberobjects]
func memberObjectsOf(version, kind string) func(*Tenant, http.ResponseWriter, *http.Request) error {
	return func(t *Tenant, w http.ResponseWriter, r *http.Request) error {
		if err := t.mayReadDirectory(r); err != nil {
			return err
		}
		var ask struct {
			SecurityEnabledOnly bool `json:"securityEnabledOnly"`
		}
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil && !errors.Is(err, io.EOF) {
			return t.unreadable(r)
		}
		ids, ok := t.memberObjects(r.PathValue("id"), kind, ask.SecurityEnabledOnly)
		if !ok {
			return t.graphRefusal(r, http.StatusNotFound, "Request_ResourceNotFound", "Resource '"+r.PathValue("id")+"' does not exist or one of its queried reference-property objects are not present.")
		}
		w.Header().Set("x-ms-resource-unit", "2")
		return writeJSON(w, map[string]any{"@odata.context": origin(r) + version + "/$metadata#Collection(Edm.String)", "value": ids})
	}
}

func (t *Tenant) memberObjects(id, kind string, securityOnly bool) ([]string, bool) {
	c := t.history.company
	if strings.Contains(id, "@") && kind != "user" {
		return nil, false // only users have a second name
	}
	if p, ok := c.person(id); ok && kind != "servicePrincipal" {
		if securityOnly {
			return c.securityGroups(p), true
		}
		return c.memberOf(p), true
	}
	got, _, ok := t.history.object(strings.ToLower(id))
	return []string{}, ok && (kind == "" || kind == got)
}

// mayReadDirectory lets a client through that may look directory objects up,
// within its limit.
func (t *Tenant) mayReadDirectory(r *http.Request) error {
	g, err := t.graphGrant(r)
	if err != nil {
		return err
	}
	if !slices.Contains(g.roles, RoleDirectoryRead) {
		return t.graphRefusal(r, http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
	}
	return t.throttle(r, "directory", func(l Limits) Rate { return l.Directory }, g.app)
}

func (t *Tenant) unreadable(r *http.Request) error {
	return t.graphRefusal(r, http.StatusBadRequest, "BadRequest", "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.")
}
