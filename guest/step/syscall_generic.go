//go:build !amd64

package main

const sysInitModule = 105 // asm-generic/unistd.h
