package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"aoc/internal/audit"

	kiota "github.com/microsoft/kiota-abstractions-go"
)

const (
	groupsTimeout = 20 * time.Second // somebody who signs in waits for it
	maxGroups     = 20_000           // Graph answers at most some 11,000, and refuses what has more
)

// MemberGroups returns the ids, in lower case, of all that a user, group or
// service principal is a member of, through other groups too: security groups,
// Microsoft 365 groups (either may be given an app's role), directory roles and
// administrative units. objectID is a GUID. One that the directory does not
// know is a member of nothing. It needs Directory.Read.All and takes at most 20
// seconds. Errors are *APIError, *ThrottledError, or say that nothing answered.
// [directoryObject: getMemberObjects]
func (c *Client) MemberGroups(ctx context.Context, objectID string) ([]string, error) {
	const op = "look up the groups of a directory object"
	if !audit.IsGUID(objectID) { // it becomes part of an address
		return nil, fmt.Errorf("%s: %w", op, audit.Invalid("object", "expected a GUID"))
	}
	ctx, cancel := context.WithTimeout(ctx, groupsTimeout)
	defer cancel()
	var groups []string
	var bad error
	err := c.pages(ctx, c.directory, op, c.memberObjects(objectID), func(raw []byte) bool {
		var id string
		if id, bad = groupID(raw, len(groups)); bad != nil {
			return false
		}
		groups = append(groups, id)
		return true
	})
	switch {
	case bad != nil:
		return nil, fmt.Errorf("%s: %w", op, bad)
	case unknownObject(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return groups, nil
}

// memberObjects asks for all kinds of groups: with securityEnabledOnly those of
// Microsoft 365 would be left out, and Graph takes it for users only.
func (c *Client) memberObjects(objectID string) *kiota.RequestInformation {
	path := c.path()
	path["id"] = strings.ToLower(objectID)
	info := kiota.NewRequestInformationWithMethodAndUrlTemplateAndPathParameters(
		kiota.POST, "{+baseurl}/directoryObjects/{id}/getMemberObjects", path)
	info.Headers.Add("Accept", "application/json")
	info.SetStreamContentAndContentType([]byte(`{"securityEnabledOnly":false}`), "application/json")
	return info
}

func groupID(raw []byte, before int) (string, error) {
	var id string
	switch err := json.Unmarshal(raw, &id); {
	case err != nil || !audit.IsGUID(id):
		return "", errors.New("the answer has a group whose id is no GUID")
	case before >= maxGroups:
		return "", fmt.Errorf("the answer has more than %d groups", maxGroups)
	}
	return strings.ToLower(id), nil
}

// unknownObject tells an object that is not there from an address that is not.
func unknownObject(err error) bool {
	var answer *APIError
	return errors.As(err, &answer) && answer.Status == http.StatusNotFound && answer.Code == "Request_ResourceNotFound"
}
