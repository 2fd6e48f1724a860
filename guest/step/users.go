package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

const (
	maxID  = 1<<31 - 1 // as Docker
	blanks = " \t\r\v\f"
)

// account is who the command runs as.
type account struct {
	uid, gid uint32
	groups   []int
	home     string
}

// entry is a row of passwd(5) or group(5).
type entry struct {
	name string
	ids  []int // of passwd the user's and the group's, of group one
	rest []string
}

// findAccount looks up `user[:group]`, names or numbers, in the files passwd and group of the
// directory etc; "" is 0. The same rules as vcr/formats/users.py, which says where they are
// from; tests/vectors/users.json tries both.
func findAccount(etc, text string) (*account, error) {
	user, group, _ := strings.Cut(text, ":")
	if user == "" {
		user = "0"
	}
	uid, err := number(user)
	if errors.Is(err, strconv.ErrRange) {
		return nil, fmt.Errorf("%s is not the number of a user: the largest is %d", user, maxID)
	}
	found, name := &account{uid: uint32(uid), home: "/"}, ""
	if row := findEntry(entries(etc+"/passwd", 2), user); row != nil {
		name = row.name
		found.uid, found.gid = uint32(row.ids[0]), uint32(row.ids[1])
		if len(row.rest) > 1 && row.rest[1] != "" {
			found.home = row.rest[1]
		}
	} else if err != nil {
		return nil, fmt.Errorf("there is no user %q in the image", user)
	}
	groups := entries(etc+"/group", 1)
	if group == "" {
		found.groups = groupsOf(groups, name)
		return found, nil
	}
	gid, err := findGroup(groups, group)
	found.gid = uint32(gid)
	return found, err
}

func findGroup(groups []entry, text string) (int, error) {
	gid, err := number(text)
	row := findEntry(groups, text)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%s is not the number of a group: the largest is %d", text, maxID)
	case row != nil:
		return row.ids[0], nil
	case err != nil:
		return 0, fmt.Errorf("there is no group %q in the image", text)
	}
	return gid, nil
}

// number reads a user's or a group's. The error is strconv.ErrSyntax for what is a name, and
// strconv.ErrRange for a number that nobody has.
func number(text string) (int, error) {
	found, err := strconv.Atoi(text)
	if err == nil && (found < 0 || found > maxID) {
		err = &strconv.NumError{Func: "number", Num: text, Err: strconv.ErrRange}
	}
	return found, err
}

// entries returns the rows of a file, with so many numbers from the third field on.
func entries(file string, numbers int) []entry {
	data, err := readRegular(file)
	if err != nil {
		return nil
	}
	var all []entry
	for _, line := range strings.Split(string(data), "\n") {
		line = strings.Trim(line, blanks)
		fields := strings.Split(line, ":")
		if len(fields) < 2+numbers || strings.HasPrefix(line, "#") {
			continue
		}
		row := entry{name: fields[0], rest: fields[2+numbers:]}
		for _, text := range fields[2 : 2+numbers] {
			if id, err := number(text); err == nil {
				row.ids = append(row.ids, id)
			}
		}
		// Docker reads as 0 what is not a number, which makes it root's. Here it is nobody's.
		if len(row.ids) == numbers {
			all = append(all, row)
		}
	}
	return all
}

func readRegular(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", file)
	}
	return os.ReadFile(file)
}

// findEntry returns the first row of a name or a number; a number is never a name.
func findEntry(rows []entry, key string) *entry {
	id, err := number(key)
	for i, row := range rows {
		if err == nil && row.ids[0] == id || errors.Is(err, strconv.ErrSyntax) && row.name == key {
			return &rows[i]
		}
	}
	return nil
}

// groupsOf returns the numbers of the groups that a user is a member of, in ascending order.
func groupsOf(groups []entry, name string) []int {
	var found []int
	for _, row := range groups {
		if name != "" && len(row.rest) > 0 && slices.Contains(strings.Split(row.rest[0], ","), name) {
			found = append(found, row.ids[0])
		}
	}
	slices.Sort(found)
	return found
}
