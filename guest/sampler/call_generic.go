//go:build arm64 || riscv64

package main

const sysPerfEventOpen = 241 // asm-generic/unistd.h
