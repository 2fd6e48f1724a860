//go:build riscv64 || arm64

package main

const sysInitModule = 105 // asm-generic/unistd.h
