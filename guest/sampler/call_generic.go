//go:build !amd64

package main

const sysPerfEventOpen = 241 // asm-generic/unistd.h
