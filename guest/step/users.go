package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// account is who the command runs as.
type account struct {
	uid, gid uint32
	groups   []int
	home     string
}

// findAccount looks up `user[:group]`, names or numbers, in the root's own /etc/passwd
// and /etc/group; "" is root. The same rules as vcr/formats/users.py.
func findAccount(text string) (*account, error) {
	user, group, _ := strings.Cut(text, ":")
	if user == "" {
		user = "0"
	}
	found := &account{home: "/"}
	name := ""
	if row := findRow("/etc/passwd", 7, user); row != nil {
		name, found.home = row[0], row[5]
		found.uid, found.gid = uint32(number(row[2])), uint32(number(row[3]))
	} else if uid := number(user); uid >= 0 {
		found.uid = uint32(uid)
		if uid == 0 {
			name, found.home = "root", "/root"
		}
	} else {
		return nil, fmt.Errorf("there is no user %q in the image", user)
	}
	if group == "" {
		found.groups = groupsOf(name)
		return found, nil
	}
	if row := findRow("/etc/group", 4, group); row != nil {
		found.gid = uint32(number(row[2]))
	} else if gid := number(group); gid >= 0 {
		found.gid = uint32(gid)
	} else {
		return nil, fmt.Errorf("there is no group %q in the image", group)
	}
	return found, nil
}

// number returns a user's or a group's, -1 for what is none.
func number(text string) int {
	found, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return -1
	}
	return int(found)
}

func rows(file string, fields int) [][]string {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var all [][]string
	for _, line := range strings.Split(string(data), "\n") {
		row := strings.Split(line, ":")
		if len(row) != fields || strings.HasPrefix(line, "#") {
			continue
		}
		// In passwd(5) the user's number and the group's, in group(5) one. A row without is
		// passed over: a group that cannot be read is not root's.
		if number(row[2]) >= 0 && (fields == 4 || number(row[3]) >= 0) {
			all = append(all, row)
		}
	}
	return all
}

// findRow returns the first row whose name or number is given.
func findRow(file string, fields int, key string) []string {
	for _, row := range rows(file, fields) {
		if row[0] == key || row[2] == key {
			return row
		}
	}
	return nil
}

func groupsOf(name string) []int {
	var found []int
	for _, row := range rows("/etc/group", 4) {
		if name != "" && slices.Contains(strings.Split(row[3], ","), name) {
			found = append(found, number(row[2]))
		}
	}
	slices.Sort(found)
	return found
}
