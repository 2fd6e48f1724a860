package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestAccountsAreThoseOfTheVectors(t *testing.T) {
	var cases []struct {
		Why           string
		Passwd, Group *string
		User          string
		Account       *struct {
			UID, GID uint32
			Groups   []int
			Home     string
		} // null: it is refused
	}
	vectors(t, "users", &cases)
	for _, c := range cases {
		etc := t.TempDir()
		for name, text := range map[string]*string{"passwd": c.Passwd, "group": c.Group} {
			if text == nil {
				continue
			}
			if err := os.WriteFile(filepath.Join(etc, name), []byte(*text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := findAccount(etc, c.User)
		if (err != nil) != (c.Account == nil) {
			t.Errorf("%s: %v", c.Why, err)
		} else if want := c.Account; want != nil && (got.uid != want.UID || got.gid != want.GID ||
			got.home != want.Home || !slices.Equal(got.groups, want.Groups)) {
			t.Errorf("%s: %+v, not %+v", c.Why, got, want)
		}
	}
}
