package source

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"aoc/internal/audit"

	kiota "github.com/microsoft/kiota-abstractions-go"
)

// maxIDs is how many ids getByIds takes (Graph: directoryObject: getByIds).
const maxIDs = 1000

// Names looks directory ids up: users, groups, service principals and devices.
// Ids that the directory does not know are absent from the answer. Every id
// must be a GUID: Graph refuses a whole call for one that is not. What was found
// before an error stands.
func (c *Client) Names(ctx context.Context, ids []string) (map[string]audit.Identity, error) {
	names := make(map[string]audit.Identity, len(ids))
	for part := range slices.Chunk(ids, maxIDs) {
		if err := c.lookUp(ctx, part, names); err != nil {
			return names, err
		}
	}
	return names, nil
}

func (c *Client) lookUp(ctx context.Context, ids []string, names map[string]audit.Identity) error {
	const op = "look up directory objects"
	body, err := json.Marshal(map[string][]string{
		"ids":   ids,
		"types": {"user", "group", "servicePrincipal", "device"},
	})
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	// The SDK's builder of this call offers no $select; without it every object
	// comes with a dozen properties of people that nobody asked for.
	info := kiota.NewRequestInformationWithMethodAndUrlTemplateAndPathParameters(
		kiota.POST, "{+baseurl}/directoryObjects/getByIds{?%24select}", c.path())
	info.QueryParameters["%24select"] = "id,displayName,userPrincipalName"
	info.Headers.Add("Accept", "application/json")
	info.SetStreamContentAndContentType(body, "application/json")
	asked := make(map[string]string, len(ids)) // Graph answers in lower case
	for _, id := range ids {
		asked[strings.ToLower(id)] = id
	}
	var bad error
	err = c.pages(ctx, c.directory, op, info, func(raw []byte) bool {
		var id string
		var who audit.Identity
		if id, who, bad = identity(raw); bad == nil {
			names[cmp.Or(asked[strings.ToLower(id)], id)] = who
		}
		return bad == nil
	})
	if bad != nil {
		return fmt.Errorf("%s: %w", op, bad)
	}
	return err
}

func identity(raw []byte) (id string, who audit.Identity, err error) {
	var object struct {
		Type              string `json:"@odata.type"`
		ID                string
		DisplayName       string
		UserPrincipalName string
	}
	if err := json.Unmarshal(raw, &object); err != nil {
		return "", audit.Identity{}, fmt.Errorf("the answer has an object of another form: %w", err)
	}
	return object.ID, audit.Identity{
		Name: object.DisplayName,
		UPN:  object.UserPrincipalName,
		Type: strings.TrimPrefix(object.Type, "#microsoft.graph."),
	}, nil
}
