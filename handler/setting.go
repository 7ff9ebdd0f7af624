package main

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"aoc/internal/audit"
)

// What settings are read as. None of these errors holds what was given.

func text(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		*field(c) = v
		return nil
	}
}

// origin takes https://host[:port] and nothing more: paths are the client's.
func origin(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		u, err := url.Parse(v)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			return expected("an origin such as https://graph.microsoft.com", v)
		}
		*field(c) = "https://" + strings.ToLower(u.Host)
		return nil
	}
}

// pageOrigin takes "*", https://host and, for pages under development,
// http://localhost:port.
func pageOrigin(part *string) error {
	local := regexp.MustCompile(`^http://(localhost|127\.0\.0\.1)(:[0-9]{1,5})?$`)
	if *part == "*" || local.MatchString(*part) {
		return nil
	}
	return origin(func(*Config) *string { return part })(nil, *part)
}

// list takes values by commas, at most 100.
func list(field func(*Config) *[]string) func(*Config, string) error {
	return func(c *Config, v string) error {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part != "" {
				*field(c) = append(*field(c), part)
			}
		}
		if len(*field(c)) > 100 {
			return fmt.Errorf("expected at most 100 values, got %d", len(*field(c)))
		}
		return nil
	}
}

func guids(field func(*Config) *[]string) func(*Config, string) error {
	return func(c *Config, v string) error {
		if err := list(field)(c, v); err != nil {
			return err
		}
		for i, id := range *field(c) {
			if !audit.IsGUID(id) {
				return expected("object ids of groups, which are GUIDs", id)
			}
			(*field(c))[i] = strings.ToLower(id)
		}
		return nil
	}
}

// prefixes takes addresses and networks by commas.
func prefixes(field func(*Config) *[]netip.Prefix) func(*Config, string) error {
	return func(c *Config, v string) error {
		for part := range strings.SplitSeq(v, ",") {
			part = strings.TrimSpace(part)
			prefix, err := netip.ParsePrefix(part)
			if addr, failed := netip.ParseAddr(part); failed == nil {
				prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
			}
			if err != nil {
				return expected("addresses such as 203.0.113.7 or networks such as 10.0.0.0/8", part)
			}
			*field(c) = append(*field(c), prefix.Masked())
		}
		return nil
	}
}

func yesNo(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "true", "1", "yes":
		return true, nil
	case "false", "0", "no":
		return false, nil
	}
	return false, expected("true or false", v)
}

func whole(v string, least, most int) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		return 0, expected(fmt.Sprintf("a whole number from %d to %d", least, most), v)
	}
	return n, nil
}

// expected leaves out what was given: a secret is easily put into the wrong
// setting, and under the Functions host mistakes are told to whoever asks.
func expected(what, got string) error {
	return fmt.Errorf("expected %s, and the %d characters that are set are something else", what, len([]rune(got)))
}
